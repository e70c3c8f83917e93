/**
 * A warm module step behind stdin and stdout, beside the same in a runner that is forked here: one
 * after the other, and 64 under way. As in a run, a step is told by its frame, and some ahead.
 *
 * Processor time is that of this process, the runner, and the process in front of it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { builtProgram } from "../src/disk/built-program.ts";
import { forkRunner } from "../src/places/local/runner-child.ts";
import { RunnerPool } from "../src/places/pool/runner-pool.ts";
import type { LaunchRunner } from "../src/places/pool/runner-process.ts";
import { streamRunner } from "../src/places/pool/stream-runner.ts";
import { FramedTask, type TaskFrame } from "../src/core/task-frame.ts";
import { inFolder } from "./bench-root.ts";
import { Rounds, tookHere } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const STEPS = 1_000;
const ROUNDS = 15;
const SHORT_ROUNDS = 9;
/** Rounds that warm up both sides. */
const WARMUP = 3;

const overStdio = streamRunner({
  clock: systemClock,
  where: "behind stdin and stdout",
  command: () => ({ words: [process.execPath, builtProgram("runner"), "--stdio"] }),
});

/** Runs steps, `atOnce` of them side by side. */
async function runAll(pool: RunnerPool, frame: TaskFrame, atOnce: number): Promise<void> {
  let next = 0;
  const go = async (): Promise<void> => {
    while (next < STEPS) await one(pool, frame, (next += 1), atOnce > 1);
  };
  await Promise.all(Array.from({ length: atOnce }, go));
}

function one(pool: RunnerPool, frame: TaskFrame, n: number, ahead: boolean): Promise<void> {
  const task = new FramedTask(frame, `s${n}`, 1, { params: { n }, inputs: {} });
  return new Promise((resolve, reject) =>
    pool.start(
      `bench@1#${n}`,
      task,
      {
        done: (result) => (result.ok ? resolve() : reject(new Error(result.error.message))),
        died: ({ because }) => reject(new Error(because)),
        output: () => {},
      },
      { ahead },
    ),
  );
}

export async function run({ short }: BenchOptions): Promise<Row[]> {
  return inFolder(async (root) => {
    const bundles = join(root, "bundles");
    mkdirSync(bundles);
    writeFileSync(join(bundles, "code.mjs"), "export default ({ params }) => params.n;\n");
    const poolOf = (launch: LaunchRunner, name: string): RunnerPool =>
      new RunnerPool({
        clock: systemClock,
        launch,
        settings: {
          threads: 2,
          bundles,
          scratch: join(root, "scratch"),
          token: `bench-${name}-${process.pid}`,
        },
      });
    const pools = [poolOf(overStdio, "stdio"), poolOf(forkRunner, "local")] as const;
    const frame: TaskFrame = {
      code: { bundle: "code", pick: "export:default", source: "./code.ts" },
      isolated: false,
      run: { id: "bench@1", pipeline: "bench" },
      env: {},
      gracePeriodMs: 200,
      artifacts: join(root, "artifacts"),
    };
    const rows: Row[] = [];
    for (const atOnce of [1, 64]) {
      const sides = [
        new Rounds("behind stdin and stdout"),
        new Rounds("in a runner that is forked here"),
      ] as const;
      for (let round = -WARMUP; round < (short ? SHORT_ROUNDS : ROUNDS); round += 1)
        for (const at of [0, 1] as const) {
          const pids = pools[at].pids();
          const { ms, cpuUs } = await tookHere(() => runAll(pools[at], frame, atOnce), ...pids);
          if (round >= 0) sides[at].add({ ms: ms * 1_000, cpuUs }, STEPS);
        }
      rows.push({
        what: `a warm module step, ${atOnce === 1 ? "one after the other" : `${atOnce} under way`}`,
        unit: "µs",
        orchd: sides[0],
        beside: sides[1],
        goal: { of: "ratio", atMost: 1.1 },
      });
    }
    await Promise.all(pools.map((pool) => pool.close()));
    return rows;
  });
}
