/**
 * What a daemon's start costs over a long history: the time from the lock to ready, as the daemon's
 * log says, and the peak of its memory. Beside it stands the same over ten runs. Both may grow with
 * the runs that have not finished, but not with those that have.
 */
import { readFileSync } from "node:fs";
import { BenchDaemon, inFolder } from "./bench-root.ts";
import { FEW, history, MANY, type Shape } from "./history.ts";
import type { Row } from "./row.ts";

const ROUNDS = 3;

interface Start {
  readonly readyMs: number;
  readonly peakMiB: number;
}

const peakMiB = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

async function starts(runs: number, unfinished: number, shape = FEW): Promise<Start[]> {
  const seen: Start[] = [];
  await inFolder(async (root) => {
    history(root, runs, unfinished, 0, shape);
    // Only the first start finds unfinished runs, and another root takes minutes to write.
    for (let left = unfinished === 0 ? ROUNDS : 1; left > 0; left -= 1)
      seen.push(
        await BenchDaemon.during(root, async (daemon) => ({
          readyMs: daemon.readyMs,
          peakMiB: peakMiB(daemon.pid),
        })),
      );
  });
  return seen;
}

export async function run(): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const runs = Number(process.env["BENCH_RUNS"] ?? 100_000);
  const few = await starts(10, 0);
  const rows: Row[] = [];
  const cases: readonly [unfinished: number, shape: Shape][] = [
    [0, FEW],
    [200, FEW],
    [0, MANY],
  ];
  for (const [unfinished, shape] of cases) {
    const all = Math.round(runs / shape.pipelines) * shape.pipelines;
    const many = await starts(all, unfinished, shape);
    const of = unfinished === 0 ? "" : `, ${unfinished} of them unfinished`;
    const what = `${all.toLocaleString("en")} runs of ${shape.pipelines} pipelines${of}`;
    rows.push(
      {
        what: `ready over ${what}`,
        unit: "ms",
        orchd: { name: "start", samples: many.map(({ readyMs }) => readyMs) },
        beside: { name: "over 10 runs", samples: few.map(({ readyMs }) => readyMs) },
        // Unfinished runs cost the length of their ledgers. Promise 9 gives recovery ten seconds.
        goal: { of: "orchd", atMost: unfinished === 0 && shape === FEW ? 1_000 : 10_000 },
      },
      {
        what: `peak memory over ${what}`,
        unit: "MiB",
        orchd: { name: "start", samples: many.map(({ peakMiB: peak }) => peak) },
        beside: { name: "over 10 runs", samples: few.map(({ peakMiB: peak }) => peak) },
        goal: { of: "orchd", atMost: 300 },
      },
    );
  }
  return rows;
}
