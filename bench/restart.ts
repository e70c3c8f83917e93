/**
 * What a daemon's start costs over a long history: the time from the lock to ready, as the daemon's
 * log says, and the peak of its memory. Beside it stands the same over ten runs. Both may grow with
 * the runs that have not finished, but not with those that have.
 */
import { readFileSync } from "node:fs";
import { BenchDaemon, inFolder } from "./bench-root.ts";
import { FEW, history, MANY, ONE, type Shape } from "./history.ts";
import type { BenchOptions, Goal, Row } from "./row.ts";

const ROUNDS = 3;
const RUNS = 100_000;
const SHORT_RUNS = 10_000;

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

interface Case {
  readonly unfinished: number;
  readonly shape: Shape;
  /** The greatest time until ready, in milliseconds. */
  readonly atMost: number;
}

const CASES: readonly Case[] = [
  { unfinished: 0, shape: FEW, atMost: 1_000 },
  // Unfinished runs cost the length of their ledgers. Promise 9 gives recovery ten seconds.
  { unfinished: 200, shape: FEW, atMost: 10_000 },
];

function rowsOf(what: string, beside: string, samples: Starts, readyGoal: Goal): Row[] {
  const { ours, theirs } = samples;
  return [
    {
      what: `ready over ${what}`,
      unit: "ms",
      orchd: { name: "start", samples: ours.map(({ readyMs }) => readyMs) },
      beside: { name: beside, samples: theirs.map(({ readyMs }) => readyMs) },
      goal: readyGoal,
    },
    {
      what: `peak memory over ${what}`,
      unit: "MiB",
      orchd: { name: "start", samples: ours.map(({ peakMiB: peak }) => peak) },
      beside: { name: beside, samples: theirs.map(({ peakMiB: peak }) => peak) },
      goal: { of: "orchd", atMost: 300 },
    },
  ];
}

interface Starts {
  readonly ours: readonly Start[];
  readonly theirs: readonly Start[];
}

export async function run({ short, runs: wanted }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const runs = wanted ?? (short ? SHORT_RUNS : RUNS);
  const text = (count: number): string => count.toLocaleString("en");
  const few = await starts(10, 0);
  const rows: Row[] = [];
  for (const { unfinished, shape, atMost } of CASES) {
    const of = unfinished === 0 ? "" : `, ${unfinished} of them unfinished`;
    const what = `${text(runs)} runs of ${shape.pipelines} pipelines${of}`;
    const ours = await starts(runs, unfinished, shape);
    rows.push(...rowsOf(what, "over 10 runs", { ours, theirs: few }, { of: "orchd", atMost }));
  }
  // Twice as many, which is where a cost of pipelines times history would show.
  const many = Math.round((2 * runs) / MANY.pipelines) * MANY.pipelines;
  const ours = await starts(many, 0, MANY);
  const theirs = await starts(many, 0, ONE);
  const what = `${text(many)} runs of ${MANY.pipelines} pipelines`;
  const goal = { of: "ratio", atMost: 1.5 } as const;
  rows.push(...rowsOf(what, "over as many of one pipeline", { ours, theirs }, goal));
  return rows;
}
