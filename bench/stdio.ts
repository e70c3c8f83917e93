/**
 * A warm module step behind stdin and stdout, beside the same in a runner that is forked here: one
 * after the other, and two at once.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { builtProgram } from "../src/disk/built-program.ts";
import { forkRunner } from "../src/places/local/runner-child.ts";
import { RunnerPool } from "../src/places/pool/runner-pool.ts";
import type { LaunchRunner } from "../src/places/pool/runner-process.ts";
import { streamRunner } from "../src/places/pool/stream-runner.ts";
import { inFolder } from "./bench-root.ts";
import type { BenchOptions, Row } from "./row.ts";

const STEPS = 400;
const ROUNDS = 9;
const SHORT_ROUNDS = 5;

const overStdio = streamRunner({
  clock: systemClock,
  where: "behind stdin and stdout",
  command: () => ({ words: [process.execPath, builtProgram("runner"), "--stdio"] }),
});

/** Runs steps, `atOnce` of them side by side. @returns milliseconds a step */
async function runAll(pool: RunnerPool, count: number, atOnce: number): Promise<number> {
  const from = performance.now();
  let next = 0;
  const go = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await one(pool, `bench@1#${next}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, go));
  return (performance.now() - from) / count;
}

function one(pool: RunnerPool, id: string): Promise<void> {
  return new Promise((resolve, reject) =>
    pool.start(
      id,
      {
        kind: "module",
        code: { bundle: "code", pick: "export:default", source: "./code.ts" },
        params: { n: 1 },
        inputs: {},
        isolated: false,
        run: { id: "bench@1", pipeline: "bench", attempt: 1 },
        step: "it",
        env: {},
        gracePeriodMs: 200,
      },
      {
        done: (result) => (result.ok ? resolve() : reject(new Error(result.error.message))),
        died: ({ because }) => reject(new Error(because)),
        output: () => {},
      },
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
    const rows: Row[] = [];
    for (const atOnce of [1, 2]) {
      const samples: [number[], number[]] = [[], []];
      for (let round = -1; round < (short ? SHORT_ROUNDS : ROUNDS); round += 1)
        for (const at of [0, 1] as const) {
          const took = await runAll(pools[at], STEPS, atOnce);
          if (round >= 0) samples[at].push(took * 1_000);
        }
      rows.push({
        what: `a warm module step, ${atOnce === 1 ? "one after the other" : "two at once"}`,
        unit: "µs",
        orchd: { name: "behind stdin and stdout", samples: samples[0] },
        beside: { name: "in a runner that is forked here", samples: samples[1] },
        goal: { of: "ratio", atMost: 1.1 },
      });
    }
    await Promise.all(pools.map((pool) => pool.close()));
    return rows;
  });
}
