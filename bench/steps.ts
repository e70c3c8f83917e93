/**
 * What a warm module step costs in a durable run: in chains of 200 and 2,000, where each step waits
 * for the one before, and in fan-outs of 1,000 and 5,000.
 *
 * Wall time comes from the run's own ledger, from `run.started` to `run.finished`. Processor time
 * is that of the daemon and its runners, from the request on. Beside them stands the same shape
 * with nothing around it, in turn: a chain beside raw-runner.ts, a fan-out beside raw-fan.ts with
 * 16 and with 64 steps under way.
 *
 * A daemon's code is cold at first: V8 compiles it while the first thousands of steps run. So the
 * first runs of a chain of 200 are a row of their own, and the long chains come before the rest.
 */
import { BenchDaemon, between, inFolder, writeFiles, type RanOnce } from "./bench-root.ts";
import { RawFan } from "./raw-fan.ts";
import { RawRunner } from "./raw-runner.ts";
import { Rounds, tookHere } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const CHAINS = [2_000, 200] as const;
const FANS = [1_000, 5_000] as const;
const UNDER_WAY = [16, 64] as const;
const ROUNDS = 7;
const SHORT_ROUNDS = 5;
/** Rounds that warm up both sides. */
const WARMUP = 2;
/** The first runs of a daemon that are measured, once its runner has started. */
const COLD_ROUNDS = 3;
/** The first steps of a chain, which may cost more than the rest. */
const FIRST = 20;

const step = (name: string, more: string): string =>
  `  ${name}: { uses: ./steps/nothing.ts${more} }\n`;
const chainOf = (count: number): string =>
  "enableCache: false\nsteps:\n" +
  Array.from({ length: count }, (_, index) =>
    step(`s${index}`, index === 0 ? "" : `, after: s${index - 1}`),
  ).join("");
const fanOf = (count: number): string =>
  "enableCache: false\nmaxParallelSteps: 64\nsteps:\n" +
  Array.from({ length: count }, (_, index) => step(`s${index}`, "")).join("");

/** How long the first steps of a chain took, in milliseconds a step. */
function firstSteps({ lines }: RanOnce): number {
  const started = lines.find(({ type }) => type === "run.started");
  const ended = lines.find(
    ({ type, step: name }) => type === "step.completed" && name === `s${FIRST - 1}`,
  );
  return between(started, ended) / FIRST;
}

async function chains(root: string, daemon: BenchDaemon, rounds: number): Promise<Row[]> {
  const bare = await RawRunner.start(root);
  const line = Buffer.from(`${"x".repeat(299)}\n`);
  const cold = new Rounds("chain");
  // The first run waits for the runner.
  await daemon.runOnce("chain200");
  for (let round = 0; round < COLD_ROUNDS; round += 1)
    cold.add(await daemon.runOnce("chain200"), 200);
  const rows: Row[] = [
    { what: "a step in a chain of 200, the daemon's runs 2 to 4", unit: "ms", orchd: cold },
  ];
  for (const count of CHAINS) {
    const ours = new Rounds("chain");
    const floor = new Rounds("IPC + worker round trip + write + fdatasync");
    const first: number[] = [];
    for (let round = -WARMUP; round < rounds; round += 1) {
      const under = await tookHere(async () => {
        for (let index = 0; index < count; index += 1) await bare.step(line);
      }, bare.pid);
      const ran = await daemon.runOnce(`chain${count}`);
      if (round < 0) continue;
      floor.add(under, count);
      ours.add(ran, count);
      first.push(firstSteps(ran));
    }
    rows.push({
      what: `a step in a chain of ${count.toLocaleString("en")}`,
      unit: "ms",
      orchd: ours,
      beside: floor,
      goal: { of: "ratio", atMost: count === 200 ? 1.6 : 1.3 },
    });
    if (count === 200)
      rows.push({
        what: `… of which the first ${FIRST}`,
        unit: "ms",
        orchd: { name: "chain", samples: first },
        beside: { name: floor.name, samples: floor.samples },
      });
  }
  await bare.end();
  return rows;
}

async function fans(root: string, daemon: BenchDaemon, rounds: number): Promise<Row[]> {
  const bare = new RawFan(root);
  const rows: Row[] = [];
  for (const count of FANS) {
    const ours = new Rounds("fan");
    const floors = UNDER_WAY.map((atOnce) => ({
      atOnce,
      rounds: new Rounds(`the same, raw, ${atOnce} under way`),
    }));
    for (let round = -WARMUP; round < rounds; round += 1) {
      for (const { atOnce, rounds: floor } of floors) {
        const under = await tookHere(() => bare.run(count, atOnce), bare.pid);
        if (round >= 0) floor.addRate(under, count);
      }
      const ran = await daemon.runOnce(`fan${count}`);
      if (round >= 0) ours.addRate(ran, count);
    }
    for (const { atOnce, rounds: floor } of floors)
      rows.push({
        what: `a fan-out of ${count.toLocaleString("en")}`,
        unit: "steps/s",
        orchd: ours,
        beside: floor,
        ...(atOnce === 64
          ? { goal: { of: "ratio", atLeast: count === 5_000 ? 0.65 : 0.5 }, cpuAtMost: 2 }
          : {}),
      });
  }
  bare.end();
  return rows;
}

export async function run({ short }: BenchOptions): Promise<Row[]> {
  return inFolder(async (root) => {
    writeFiles(root, {
      ...Object.fromEntries(
        CHAINS.map((count) => [`schedules/chain${count}.yaml`, chainOf(count)]),
      ),
      ...Object.fromEntries(FANS.map((count) => [`schedules/fan${count}.yaml`, fanOf(count)])),
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const rounds = short ? SHORT_ROUNDS : ROUNDS;
    const rows: Row[] = [];
    const daemon = await BenchDaemon.during(root, async (own) => {
      rows.push(...(await chains(root, own, rounds)), ...(await fans(root, own, rounds)));
      return own;
    });
    return [...rows, daemon.turnRow("these runs")];
  });
}
