/**
 * The same work on peers, in the same run and in turn: chains of trivial steps on Dagu and BullMQ,
 * one trivial job in a thread on Bree, and a thousand trivial calls on BullMQ and in warm threads
 * of piscina, which writes nothing down.
 *
 * The peers are no dependency of orchd. `npm ci --prefix bench/peers` installs them, and BullMQ
 * needs a redis-server in the path. Of each that is missing this bench says so.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { PeerBullMq } from "./peer-bullmq.ts";
import { peerPackages, versionOf } from "./peer-packages.ts";
import { endedUs } from "./processor.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import { timed } from "./row.ts";
import type { BenchOptions, Goal, Row } from "./row.ts";

const CHAIN = 50;
const LONG_CHAIN = 200;
const FAN = 1_000;
const ROUNDS = 7;
const SHORT_ROUNDS = 5;
const WARMUP = 2;

/** The part of Bree that is used here; Bree has no types of its own. */
interface BreeLike {
  run(name: string): Promise<void>;
  once(event: string, listener: () => void): void;
  stop(): Promise<void>;
}

interface PiscinaLike {
  run(task: unknown): Promise<unknown>;
  destroy(): Promise<void>;
}

const repeated = (count: number, one: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => one(index)).join("");

/** Something that does the same work as a pipeline of orchd. */
interface Peer {
  /** How the table names it. */
  readonly name: string;
  /** Which of orchd's pipelines does the same. */
  readonly works: readonly Work[];
  end(): Promise<unknown>;
}

interface Work {
  readonly pipeline: Pipeline;
  /** Said after the peer's name. */
  readonly remark: string;
  once(): Promise<Took>;
  /** How many steps `once` does; the default is as many as the pipeline has. */
  readonly steps?: number;
  readonly goal?: Goal;
}

/** orchd's pipelines: how many steps each has, and whether its row is a rate. */
const PIPELINES = {
  shell: { steps: CHAIN, isRate: false, what: `a shell step in a chain of ${CHAIN}` },
  warm: { steps: CHAIN, isRate: false, what: `a warm module step in a chain of ${CHAIN}` },
  long: {
    steps: LONG_CHAIN,
    isRate: false,
    what: `a warm module step in a chain of ${LONG_CHAIN}`,
  },
  alone: { steps: 1, isRate: false, what: "a module step in a thread of its own, run and all" },
  fan: { steps: FAN, isRate: true, what: "a fan-out of 1,000 warm module steps" },
} as const;
type Pipeline = keyof typeof PIPELINES;

function dagu(folder: string): Promise<Peer> {
  const version = versionOf("@dagu-org/dagu-linux-x64");
  const steps = repeated(CHAIN, (index) => {
    const depends = index === 0 ? "" : `    depends: s${index - 1}\n`;
    return `  - name: s${index}\n    command: "true"\n${depends}`;
  });
  writeFiles(folder, { "dagu.yaml": `steps:\n${steps}` });
  const program = join(peerPackages, "@dagu-org/dagu-linux-x64/bin/dagu");
  const env = { ...process.env, DAGU_HOME: join(folder, "dagu-home") };
  const start = (): void => {
    const { status, stderr } = spawnSync(program, ["start", "-q", join(folder, "dagu.yaml")], {
      env,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`dagu exited ${status}: ${stderr}`);
  };
  const once = async (): Promise<Took> => {
    const before = endedUs();
    const [ms] = await timed(1, 0, start);
    return { ms: ms!, cpuUs: endedUs() - before };
  };
  return Promise.resolve({
    name: `Dagu ${version}`,
    works: [
      { pipeline: "shell", remark: "", once, goal: { of: "ratio", atMost: 0.5 } },
      { pipeline: "warm", remark: ", a shell step", once },
    ],
    end: () => Promise.resolve(),
  });
}

async function bree(folder: string): Promise<Peer> {
  const version = versionOf("bree");
  writeFiles(folder, {
    "work.mjs":
      'import { parentPort } from "node:worker_threads";\nparentPort.postMessage("done");\n',
  });
  const entry = pathToFileURL(join(peerPackages, "bree/src/index.js")).href;
  const { default: Bree } = (await import(entry)) as { default: new (options: object) => BreeLike };
  const scheduler = new Bree({
    root: false,
    logger: false,
    jobs: [{ name: "work", path: join(folder, "work.mjs") }],
  });
  const work = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => scheduler.once("worker deleted", resolve));
    await scheduler.run("work");
    await ended;
  };
  const once = (): Promise<Took> => tookHere(work);
  return {
    name: `Bree ${version}`,
    works: [
      { pipeline: "alone", remark: ", one worker", once },
      {
        pipeline: "long",
        remark: ", a worker a step",
        once,
        steps: 1,
        goal: { of: "ratio", atMost: 1 / 30 },
      },
    ],
    end: () => scheduler.stop(),
  };
}

/** Calls in two warm threads of this process, 64 given ahead. Nothing is durable. */
async function piscina(folder: string): Promise<Peer> {
  const version = versionOf("piscina");
  writeFiles(folder, { "nothing.mjs": "export default async () => null;\n" });
  const entry = pathToFileURL(join(peerPackages, "piscina/dist/esm-wrapper.mjs")).href;
  const { default: Piscina } = (await import(entry)) as {
    default: new (options: object) => PiscinaLike;
  };
  const pool = new Piscina({
    filename: pathToFileURL(join(folder, "nothing.mjs")).href,
    minThreads: 2,
    maxThreads: 2,
  });
  const work = async (): Promise<void> => {
    let left = FAN;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await pool.run(null);
    };
    await Promise.all(Array.from({ length: 64 }, lane));
  };
  return {
    name: `piscina ${version}`,
    works: [{ pipeline: "fan", remark: ", nothing durable", once: () => tookHere(work) }],
    end: () => pool.destroy(),
  };
}

async function bullMq(folder: string): Promise<Peer> {
  const name = `BullMQ ${versionOf("bullmq")}`;
  const peer = await PeerBullMq.start(folder);
  const remark = ", AOF always";
  return {
    name,
    works: [
      {
        pipeline: "long",
        remark,
        once: () => peer.chain(LONG_CHAIN),
        goal: { of: "ratio", atMost: 1 },
      },
      { pipeline: "fan", remark, once: () => peer.fan(FAN), goal: { of: "ratio", atLeast: 3 } },
    ],
    end: () => peer.end(),
  };
}

const PEERS = { Dagu: dagu, Bree: bree, piscina, BullMQ: bullMq };

/** The peers that are there. Of each that is not, `note` says why. */
async function present(root: string, note: BenchOptions["note"]): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const [name, start] of Object.entries(PEERS)) {
    try {
      peers.push(await start(root));
    } catch (error) {
      const why = (error as Error).message.split("\n")[0];
      note(`${name} is not there (\`npm ci --prefix bench/peers\` installs it): ${why}`);
    }
  }
  return peers;
}

function writeRoot(root: string): void {
  const after = (index: number): string => (index === 0 ? "" : `, after: s${index - 1}`);
  const module = "uses: ./steps/nothing.ts";
  const shell = repeated(CHAIN, (index) => `  s${index}: { run: "true"${after(index)} }\n`);
  const chain = (count: number): string =>
    repeated(count, (index) => `  s${index}: { ${module}${after(index)} }\n`);
  const fan = repeated(FAN, (index) => `  s${index}: { ${module} }\n`);
  writeFiles(root, {
    "schedules/shell.yaml": `enableCache: false\nsteps:\n${shell}`,
    "schedules/warm.yaml": `enableCache: false\nsteps:\n${chain(CHAIN)}`,
    "schedules/long.yaml": `enableCache: false\nsteps:\n${chain(LONG_CHAIN)}`,
    "schedules/alone.yaml": `enableCache: false\nsteps:\n  s0: { ${module}, isolated: true }\n`,
    "schedules/fan.yaml": `enableCache: false\nmaxParallelSteps: 64\nsteps:\n${fan}`,
    "schedules/steps/nothing.ts": "export default async () => null;\n",
  });
}

/** Adds what a round of a pipeline, or of the same work, took. */
function add(rounds: Rounds, pipeline: Pipeline, took: Took, given?: number): void {
  const { isRate } = PIPELINES[pipeline];
  const steps = given ?? PIPELINES[pipeline].steps;
  if (isRate) rounds.addRate(took, steps);
  else rounds.add(took, steps);
}

async function measure(root: string, peers: readonly Peer[], count: number): Promise<Row[]> {
  const works = peers.flatMap(({ name, works: all }) =>
    all.map((work) => ({ work, rounds: new Rounds(`${name}${work.remark}`) })),
  );
  const pipelines = [...new Set(works.map(({ work }) => work.pipeline))];
  const ours = new Map(pipelines.map((pipeline) => [pipeline, new Rounds(pipeline)]));
  await BenchDaemon.during(root, async (daemon) => {
    // In turn, so that what else the machine does falls on all of them.
    for (let round = -WARMUP; round < count; round += 1) {
      for (const [pipeline, rounds] of ours) {
        const ran = await daemon.runOnce(pipeline);
        if (round >= 0) add(rounds, pipeline, ran);
      }
      for (const { work, rounds } of works) {
        const took = await work.once();
        if (round >= 0) add(rounds, work.pipeline, took, work.steps);
      }
    }
  });
  return works.map(({ work: { pipeline, goal }, rounds }) => ({
    what: PIPELINES[pipeline].what,
    unit: PIPELINES[pipeline].isRate ? "steps/s" : "ms",
    orchd: ours.get(pipeline)!,
    beside: rounds,
    goal,
  }));
}

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  return inFolder(async (root) => {
    writeRoot(root);
    const peers = await present(root, note);
    try {
      return peers.length === 0 ? [] : await measure(root, peers, short ? SHORT_ROUNDS : ROUNDS);
    } finally {
      for (const peer of peers) await peer.end();
    }
  });
}
