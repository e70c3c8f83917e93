/**
 * The same work on peers, in the same run and in turn: a chain of 50 trivial steps on Dagu, one
 * trivial job in a thread on Bree, and a thousand trivial calls in warm threads on piscina, which
 * writes nothing down.
 *
 * The peers are no dependency of orchd. `npm ci --prefix bench/peers` installs them. Without them
 * this bench says so and gives no row.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BenchDaemon, between, inFolder, writeFiles } from "./bench-root.ts";
import { peerPackages, versionOf } from "./peer-packages.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const CHAIN = 50;
const FAN = 1_000;
const ROUNDS = 7;
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

type Pipeline = "shell" | "warm" | "alone" | "fan";

const repeated = (count: number, one: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => one(index)).join("");

/** Something that does the same work as orchd. */
interface Peer {
  /** Does it once. Resolves with the milliseconds that it took. */
  once(): Promise<number>;
  end(): Promise<unknown>;
}

function dagu(folder: string): Peer {
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
  return { once: async () => (await timed(1, 0, start))[0]! / CHAIN, end: () => Promise.resolve() };
}

async function bree(folder: string): Promise<Peer> {
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
  return { once: async () => (await timed(1, 0, work))[0]!, end: () => scheduler.stop() };
}

/** Calls in two warm threads of this process, 64 given ahead. Nothing is durable. */
async function piscina(folder: string): Promise<Peer> {
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
  return { once: async () => (await timed(1, 0, work))[0]!, end: () => pool.destroy() };
}

function writeRoot(root: string): void {
  const after = (index: number): string => (index === 0 ? "" : `, after: s${index - 1}`);
  const shell = repeated(CHAIN, (index) => `  s${index}: { run: "true"${after(index)} }\n`);
  const module = "uses: ./steps/nothing.ts";
  const warm = repeated(CHAIN, (index) => `  s${index}: { ${module}${after(index)} }\n`);
  const fan = repeated(FAN, (index) => `  s${index}: { ${module} }\n`);
  writeFiles(root, {
    "schedules/shell.yaml": `steps:\n${shell}`,
    "schedules/warm.yaml": `enableCache: false\nsteps:\n${warm}`,
    "schedules/alone.yaml": `enableCache: false\nsteps:\n  s0: { ${module}, isolated: true }\n`,
    "schedules/fan.yaml": `enableCache: false\nmaxParallelSteps: 64\nsteps:\n${fan}`,
    "schedules/steps/nothing.ts": "export default async () => null;\n",
  });
}

/** Milliseconds of each round, of orchd's pipelines and of the peers. */
interface Rounds {
  readonly ours: Record<Pipeline, number[]>;
  readonly theirs: Record<"dagu" | "bree" | "piscina", number[]>;
}

async function measure(root: string): Promise<Rounds> {
  const ours: Rounds["ours"] = { shell: [], warm: [], alone: [], fan: [] };
  const theirs: Rounds["theirs"] = { dagu: [], bree: [], piscina: [] };
  const peers = { dagu: dagu(root), bree: await bree(root), piscina: await piscina(root) };
  await BenchDaemon.during(root, async (daemon) => {
    // In turn, so that what else the machine does falls on all of them.
    for (let round = -WARMUP; round < ROUNDS; round += 1) {
      for (const pipeline of Object.keys(ours) as Pipeline[]) {
        const lines = await daemon.runOnce(pipeline);
        const ms = between(
          lines.find(({ type }) => type === "run.started"),
          lines.at(-1),
        );
        if (round >= 0) ours[pipeline].push(ms);
      }
      for (const peer of Object.keys(peers) as (keyof typeof peers)[]) {
        const ms = await peers[peer].once();
        if (round >= 0) theirs[peer].push(ms);
      }
    }
  });
  for (const peer of Object.values(peers)) await peer.end();
  return { ours, theirs };
}

export async function run(): Promise<Row[]> {
  if (!existsSync(peerPackages)) {
    process.stderr.write(
      "The peers are not installed; `npm ci --prefix bench/peers` installs them.\n",
    );
    return [];
  }
  return inFolder(async (root) => {
    writeRoot(root);
    const { ours, theirs } = await measure(root);
    const each = (samples: readonly number[]): number[] => samples.map((ms) => ms / CHAIN);
    const rate = (samples: readonly number[]): number[] => samples.map((ms) => (FAN / ms) * 1_000);
    const chain = {
      name: `Dagu ${versionOf("@dagu-org/dagu-linux-x64")}, a chain of ${CHAIN} shell steps`,
      samples: theirs.dagu,
    };
    const thread = { name: `Bree ${versionOf("bree")}, one worker`, samples: theirs.bree };
    const pool = {
      name: `piscina ${versionOf("piscina")}, not durable`,
      samples: rate(theirs.piscina),
    };
    return [
      {
        what: `a shell step in a chain of ${CHAIN}`,
        unit: "ms",
        orchd: { name: "shell", samples: each(ours.shell) },
        beside: chain,
      },
      {
        what: `a warm module step in a chain of ${CHAIN}`,
        unit: "ms",
        orchd: { name: "warm", samples: each(ours.warm) },
        beside: chain,
      },
      {
        what: "a module step in a thread of its own, run and all",
        unit: "ms",
        orchd: { name: "isolated", samples: ours.alone },
        beside: thread,
      },
      {
        what: `a fan-out of ${FAN} warm module steps`,
        unit: "steps/s",
        orchd: { name: "fan", samples: rate(ours.fan) },
        beside: pool,
      },
    ];
  });
}
