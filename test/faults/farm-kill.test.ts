/**
 * A farm while everything in it dies: workers are killed, frozen and cut off, the broker loses all
 * that it keeps, and the daemon is killed. The faults overlap, each at a moment of chance.
 *
 * What counts is outside of orchd. Each step holds a lock of the kernel as long as anything of it
 * lives, so an attempt that begins beside another one of its step shows. Each attempt notes that it
 * begins, so one that begins twice shows: there are never more notes than starts in the ledger.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { setTimeout as rest } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Line } from "../support/await-event.ts";
import { orchdProgram } from "../support/daemon.ts";
import { countOf, Farm, type FarmWorker } from "../support/farm.ts";
import { fullFigures, reached, trials } from "../support/figures.ts";
import { SKIP_NATS } from "../support/nats-server.ts";
import { PrivateNetwork } from "../support/private-network.ts";
import { SKIP_NAMESPACES } from "../support/sshd.ts";

const POINTS = trials(4, 300);
const ADOPTIONS = trials(0, 100);
/** How many runs there are at once. */
const RUNS = 2;
const SHELLS = ["one", "two", "three"] as const;
const MODULES = ["four", "five"] as const;
const STEPS = [...SHELLS, ...MODULES];
/**
 * How long a run may take to end, and a step to begin, once all is well again, in milliseconds:
 * others may keep the machine busy. Each lease is over long before.
 */
const PATIENCE_MS = 300_000;

const chance = (below: number): number => Math.floor(Math.random() * below);

/**
 * Steps that hold their lock, note that they begin, print lines, and note that they took effect.
 */
const SHELL = `
exec 9> EFFECTS.locks/$ORCHD_RUN_ID.$ORCHD_STEP
flock -n 9 || echo "beside $ORCHD_RUN_ID $ORCHD_STEP" >> EFFECTS
echo "begins $ORCHD_RUN_ID $ORCHD_STEP" >> EFFECTS
i=0
while [ $i -lt $ORCHD_PARAM_lines ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done
echo "took $ORCHD_RUN_ID $ORCHD_STEP" >> EFFECTS
echo "last $i"
`;
const MODULE = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
const note = (word, env) =>
  appendFileSync("EFFECTS", [word, env.ORCHD_RUN_ID, env.ORCHD_STEP].join(" ") + "\\n");
const step = async ({ env, params }) => {
  const lock = "EFFECTS.locks/" + env.ORCHD_RUN_ID + "." + env.ORCHD_STEP;
  // It ends with its input, and so with this process.
  const held = spawn("flock", ["-n", lock, "sh", "-c", "echo held; read end"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const isHeld = await new Promise((resolve) => {
    held.stdout.once("data", () => resolve(true));
    held.once("close", () => resolve(false));
  });
  if (!isHeld) note("beside", env);
  note("begins", env);
  for (let i = 0; i < params.lines; i += 1) {
    console.log("line " + i);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  note("took", env);
  console.log("last " + params.lines);
  const ended = new Promise((resolve) => held.once("close", resolve));
  held.stdin.end("\\n");
  await ended;
  // It goes by a file of the broker, the same one for all that run now.
  return "a long result ".repeat(10_000);
};
export { step as default };
`;
/**
 * Faults come every two seconds. On a machine with much to do a run lasts for minutes, and a step
 * may meet more than the three after which it is not rerun any more: so it is retried. One that
 * fails is found all the same.
 */
const PARAMS = `on: farm, params: { lines: "\${params.lines}" }`;
const PIPELINE = `
overlap: allow
maxActiveRuns: 10
maxParallelSteps: 10
onInterruption: retry
retry: { maxRetries: 100, delay: 0s }
enableCache: false
params: { lines: 5 }
steps:
${MODULES.map((name) => `  ${name}: { uses: ./step.mjs, ${PARAMS} }\n`).join("")}
${SHELLS.map((name) => `  ${name}: { run: ${JSON.stringify(SHELL)}, ${PARAMS} }\n`).join("")}
`;

/** Steps that print nothing and end at once, one after the other: their ends are answers. */
const BRIEFS = Array.from({ length: 60 }, (_, at) => `b${at}`);
const BRIEF = `
import { appendFileSync } from "node:fs";
export default ({ env }) => {
  for (const word of ["begins", "took"])
    appendFileSync("EFFECTS", [word, env.ORCHD_RUN_ID, env.ORCHD_STEP].join(" ") + "\\n");
};
`;
const briefStep = (name: string, after = ""): string =>
  `  ${name}: { uses: ./brief.mjs, on: farm, after: [${after}] }\n`;
const BRIEF_PIPELINE = `
overlap: allow
onInterruption: retry
retry: { maxRetries: 100, delay: 0s }
enableCache: false
steps:
${BRIEFS.map((name, at) => briefStep(name, BRIEFS[at - 1])).join("")}
`;

interface World {
  readonly farm: Farm;
  readonly networks: ReadonlyMap<FarmWorker, PrivateNetwork>;
}

/** What a fault happens to, and what it does until all is well again. */
type Fault = readonly [string, (world: World, worker: FarmWorker) => Promise<unknown>];

/** The worker is killed, and started again. */
const killedFor =
  (milliseconds: () => number): Fault[1] =>
  async (_, worker) => {
    await worker.process.kill();
    await rest(milliseconds());
    await worker.again();
  };

const frozenFor =
  (milliseconds: () => number): Fault[1] =>
  async (_, { process: frozen }) => {
    frozen.signal("SIGSTOP");
    await rest(milliseconds());
    frozen.signal("SIGCONT");
  };

const cutFor =
  (milliseconds: () => number): Fault[1] =>
  async ({ networks }, worker) => {
    const link = networks.get(worker) ?? worker.link;
    link.cut();
    await rest(milliseconds());
    link.mend();
  };

const brokerDownFor =
  (milliseconds: () => number): Fault[1] =>
  async ({ farm: { broker } }) => {
    await broker.kill();
    broker.empty();
    await rest(milliseconds());
    await broker.begin();
  };

const daemonDownFor =
  (milliseconds: () => number): Fault[1] =>
  async ({ farm }) => {
    await farm.daemon.kill();
    await rest(milliseconds());
    await farm.startDaemon();
  };

const AT_WORKERS: readonly Fault[] = [
  ["killed", killedFor(() => chance(1_000))],
  ["cut off for a moment", cutFor(() => 200 + chance(2_000))],
  ["frozen for a moment", frozenFor(() => 200 + chance(2_000))],
  ["frozen for long", frozenFor(() => 20_000)],
  ["killed, and started late", killedFor(() => 15_000 + chance(3_000))],
  ["cut off for long", cutFor(() => 6_000 + chance(14_000))],
  [
    "disconnected",
    async (_, { link }) => {
      link.drop();
      await rest(chance(1_000));
    },
  ],
  [
    "told to end, twice",
    async (_, worker) => {
      for (let signals = 0; signals < 2; signals += 1) {
        worker.process.signal("SIGTERM");
        await rest(chance(300));
      }
      await worker.process.ended;
      await worker.again();
    },
  ],
];
const AT_BROKER: readonly Fault[] = [
  ["the broker is killed, and comes back empty", brokerDownFor(() => chance(1_000))],
  ["the broker is down for long", brokerDownFor(() => 5_000 + chance(6_000))],
  [
    "the broker stands still",
    async ({ farm: { broker } }) => {
      broker.freeze();
      await rest(500 + chance(9_000));
      broker.thaw();
    },
  ],
];
const AT_DAEMON: readonly Fault[] = [
  ["the daemon is killed", daemonDownFor(() => 0)],
  ["the daemon is down for long", daemonDownFor(() => 3_000 + chance(8_000))],
  [
    "the daemon stands still",
    async ({ farm }) => {
      farm.daemon.process.kill("SIGSTOP");
      await rest(500 + chance(18_000));
      farm.daemon.process.kill("SIGCONT");
    },
  ],
];
/** What the quick form does, which has no time for leases. */
const QUICK: readonly (readonly [string, Fault])[] = [
  ["w1", AT_WORKERS[0]!],
  ["broker", AT_BROKER[0]!],
  ["w2", AT_WORKERS[1]!],
  ["daemon", AT_DAEMON[0]!],
];

/** Injects faults, no two at the same one at once. */
class Chaos {
  readonly #world: World;
  /** What is not well, and the fault that it has. */
  readonly #ill = new Map<string, Promise<unknown>>();
  readonly counts = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  isWell(target: string): boolean {
    return !this.#ill.has(target);
  }

  /** The next fault, at something that is well. */
  async point(index: number): Promise<void> {
    const { farm } = this.#world;
    const targets = ["broker", "daemon", ...farm.workers.flatMap(({ name }) => [name, name])];
    for (;;) {
      const target = fullFigures ? targets[chance(targets.length)]! : QUICK[index]![0];
      if (this.isWell(target)) return this.#begin(target, index);
      await Promise.race(this.#ill.values());
    }
  }

  /** Resolves when all is well. */
  async over(): Promise<void> {
    await Promise.all(this.#ill.values());
  }

  #begin(target: string, index: number): void {
    const { farm } = this.#world;
    const faults = target === "broker" ? AT_BROKER : target === "daemon" ? AT_DAEMON : AT_WORKERS;
    const [name, fault] = fullFigures ? faults[chance(faults.length)]! : QUICK[index]![1];
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const worker = farm.workers.find((one) => one.name === target) ?? farm.workers[0]!;
    const healed = fault(this.#world, worker).finally(() => this.#ill.delete(target));
    this.#ill.set(target, healed);
    // It is waited for, and fails the test then.
    healed.catch(() => undefined);
  }
}

async function started(): Promise<World> {
  const farm = await Farm.start({
    "schedules/p.yaml": PIPELINE,
    "schedules/step.mjs": MODULE,
    "schedules/brief.yaml": BRIEF_PIPELINE,
    "schedules/brief.mjs": BRIEF,
  });
  mkdirSync(`${farm.effects}.locks`);
  const words = ["--threads", "2"];
  const networks = new Map<FarmWorker, PrivateNetwork>();
  const network = SKIP_NAMESPACES ? undefined : new PrivateNetwork();
  await Promise.all([
    farm.worker("w1", { words }),
    farm.worker("w2", network === undefined ? { words } : { words, network }),
    ...(fullFigures ? [farm.worker("w3", { words })] : []),
  ]);
  const far = farm.workers.find(({ name }) => name === "w2")!;
  if (network !== undefined) networks.set(far, network);
  return { farm, networks };
}

/** Whether a run has ended, by its ledger. */
const isOver = (lines: readonly Line[]): boolean => lines.at(-1)?.type === "run.finished";

describe.skipIf(SKIP_NATS)("a farm while everything in it dies", () => {
  it(
    `at ${POINTS} moments: no step runs beside itself or begins twice, none is lost`,
    { timeout: 2 * PATIENCE_MS + POINTS * 30_000 },
    async () => {
      const world = await started();
      const { farm } = world;
      const chaos = new Chaos(world);
      const runs: string[] = [];
      const active = (): string[] => runs.filter((run) => !isOver(farm.ledger(run)));
      for (let point = 0; point < POINTS; point += 1) {
        // At once: on a slow machine a run has ended before the next one is asked for.
        const isWell = chaos.isWell("daemon");
        const now = active();
        const missing = isWell ? RUNS - now.filter((run) => !isBrief(run)).length : 0;
        const more = Array.from({ length: missing }, () =>
          farm.run("p", "--param", `lines=${1 + chance(fullFigures ? 25 : 8)}`),
        );
        if (isWell && !now.some(isBrief)) more.push(farm.run("brief"));
        runs.push(...(await Promise.all(more)));
        await rest(fullFigures ? 300 + chance(3_000) : 400 + chance(400));
        await chaos.point(point);
        if (point % 20 !== 19) continue;
        process.stdout.write(`${point + 1} points, ${runs.length} runs\n`);
        const over = runs.filter((run) => isOver(farm.ledger(run)));
        expect(wrongsOf(farm, over)).toEqual([]);
      }
      await chaos.over();
      for (const run of runs) await farm.ended(run, PATIENCE_MS);
      const wrongs = wrongsOf(farm, runs);
      // A worker that ends waits for the daemon to have what it holds.
      for (const { process: worker } of farm.workers) worker.signal("SIGTERM");
      for (const { process: worker } of farm.workers) await worker.ended;
      await farm.daemon.end("SIGTERM", PATIENCE_MS);
      for (const { name, process: worker } of farm.workers)
        if (worker.processes().length > 0) wrongs.push(`${name} left processes behind`);
      wrongs.push(...notWhole(farm));
      process.stdout.write(`${JSON.stringify(Object.fromEntries(chaos.counts))}\n`);
      expect(wrongs).toEqual([]);
      reached(46, "points of a farm with all that runs there", POINTS, POINTS);
    },
  );
});

describe.skipIf(SKIP_NATS)("a farm whose daemon is killed", () => {
  // In the quick form worker-loss.test.ts has one.
  it.runIf(fullFigures)(
    `goes on ${ADOPTIONS} times: no step runs again, and its log is whole`,
    { timeout: 2 * PATIENCE_MS + ADOPTIONS * 30_000 },
    async () => {
      const { farm } = await started();
      const wrongs: string[] = [];
      for (let round = 0; round < ADOPTIONS; round += 1) {
        const run = await farm.run("p", "--param", `lines=${15 + chance(10)}`);
        for (const step of STEPS) await farm.until(`begins ${run} ${step}`, 1, PATIENCE_MS);
        await rest(chance(500));
        await farm.daemon.kill();
        await farm.startDaemon();
        const lines = await farm.ended(run, PATIENCE_MS);
        const again = lines.filter(({ type }) => type === "step.interrupted").length;
        if (again > 0) wrongs.push(`${run} ran ${again} steps again`);
        wrongs.push(...wrongsOf(farm, [run]));
      }
      const late = farm.workers.filter(({ process: { stderr } }) => stderr.includes("for 6 s"));
      // A machine that needs so long for a start adopts nothing: then this shows nothing either.
      expect(late.map(({ name }) => name)).toEqual([]);
      expect(wrongs).toEqual([]);
      reached(47, "deaths of the daemon that all five steps outlive", ADOPTIONS, ADOPTIONS);
    },
  );
});

const isBrief = (run: string): boolean => run.startsWith("brief@");

/** What must not be, of runs that have ended. */
function wrongsOf(farm: Farm, runs: readonly string[]): string[] {
  const did = new Map<string, number>();
  for (const line of farm.did()) did.set(line, (did.get(line) ?? 0) + 1);
  const wrongs = [...did.keys()].filter((line) => line.startsWith("beside"));
  for (const run of runs) {
    const lines = farm.ledger(run);
    const { status } = lines.at(-1) as { status?: unknown };
    if (status !== "completed") wrongs.push(`${run} is ${String(status)}`);
    const log = isBrief(run) ? [] : farm.log(run);
    for (const step of isBrief(run) ? BRIEFS : STEPS) {
      const noted = (word: string): number => did.get(`${word} ${run} ${step}`) ?? 0;
      const starts = countOf(lines, "step.started", step);
      const begins = noted("begins");
      if (begins > starts) wrongs.push(`${run} ${step} began ${begins} times of ${starts}`);
      for (const line of lines)
        if (line.type === "step.failed" && line["step"] === step)
          wrongs.push(`${run} ${step} failed: ${JSON.stringify(line["error"])}`);
      if (noted("took") === 0) wrongs.push(`${run} ${step} is lost`);
      if (countOf(lines, "step.completed", step) !== 1) wrongs.push(`${run} ${step} has no end`);
      if (isBrief(run)) continue;
      const own = log.filter((line) => line.step === step && line.stream === "stdout");
      const printed = own.map(({ line }) => line);
      const last = printed.lastIndexOf("line 0");
      const whole = Array.from({ length: printed.length - last - 1 }, (_, line) => `line ${line}`);
      if (printed.slice(last).join() !== [...whole, `last ${whole.length}`].join())
        wrongs.push(`${run} ${step} printed ${printed.slice(last).join()}`);
    }
  }
  return wrongs;
}

/** What `orchd verify` says of ledgers that are not whole. */
function notWhole(farm: Farm): string[] {
  const words = [orchdProgram, "verify", "--root", farm.root.root];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  return status === 0 ? [] : [`orchd verify: ${stdout}${stderr}`];
}
