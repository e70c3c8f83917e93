/**
 * What a daemon's start costs over a long history: the time from the lock to ready, as the daemon's
 * log says, its processor time until then and the peak of its memory. Beside it stands the same
 * over ten runs: all may grow with the runs that have not finished, but not with those that have.
 * 300 pipelines stand beside one with as many runs.
 */
import { readFileSync } from "node:fs";
import { BenchDaemon, inFolder } from "./bench-root.ts";
import { FEW, history, MANY, ONE } from "./history.ts";
import { familyUs } from "./processor.ts";
import { Rounds, type Took } from "./rounds.ts";
import type { BenchOptions, Goal, Measured, Row } from "./row.ts";

const ROUNDS = 3;
const RUNS = 100_000;
const SHORT_RUNS = 10_000;

interface Start extends Took {
  readonly peakMiB: number;
}

const peakMiB = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

/** One start. Its processor time is that from the process's beginning until it is ready. */
const start = (root: string): Promise<Start> =>
  BenchDaemon.during(root, (daemon) =>
    Promise.resolve({
      ms: daemon.readyMs,
      cpuUs: familyUs(daemon.pid),
      peakMiB: peakMiB(daemon.pid),
    }),
  );

interface Starts {
  readonly ours: readonly Start[];
  readonly theirs: readonly Start[];
}

/** Starts over two roots, in turn. */
async function startsOf(
  rounds: number,
  ours: (root: string) => void,
  theirs: (root: string) => void,
): Promise<Starts> {
  return inFolder(async (root) => {
    ours(root);
    return inFolder(async (other) => {
      theirs(other);
      const seen = { ours: [] as Start[], theirs: [] as Start[] };
      for (let round = 0; round < rounds; round += 1) {
        seen.ours.push(await start(root));
        seen.theirs.push(await start(other));
      }
      return seen;
    });
  });
}

function rowsOf(what: string, beside: string, starts: Starts, goal: Goal | undefined): Row[] {
  const side = (name: string, all: readonly Start[]): Rounds => {
    const rounds = new Rounds(name);
    for (const one of all) rounds.add(one);
    return rounds;
  };
  const peak = (name: string, all: readonly Start[]): Measured => ({
    name,
    samples: all.map((one) => one.peakMiB),
  });
  return [
    {
      what: `ready over ${what}`,
      unit: "ms",
      orchd: side("start", starts.ours),
      beside: side(beside, starts.theirs),
      goal,
    },
    {
      what: `peak memory over ${what}`,
      unit: "MiB",
      orchd: peak("start", starts.ours),
      beside: peak(beside, starts.theirs),
      goal: { of: "orchd", atMost: 300 },
    },
  ];
}

interface Case {
  readonly unfinished: number;
  /** The greatest time until ready, in milliseconds. */
  readonly atMost: number;
}

const CASES: readonly Case[] = [
  { unfinished: 0, atMost: 1_000 },
  // Unfinished runs cost the length of their ledgers. Promise 9 gives recovery ten seconds.
  { unfinished: 200, atMost: 10_000 },
];

export async function run({ short, runs: wanted }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const runs = wanted ?? (short ? SHORT_RUNS : RUNS);
  const text = (count: number): string => count.toLocaleString("en");
  const rows: Row[] = [];
  for (const { unfinished, atMost } of CASES) {
    const of = unfinished === 0 ? "" : `, ${unfinished} of them unfinished`;
    const what = `${text(runs)} runs of ${FEW.pipelines} pipelines${of}`;
    const starts = await startsOf(
      // Only the first start finds unfinished runs, and another root takes minutes to write.
      unfinished === 0 ? ROUNDS : 1,
      (root) => void history(root, runs, unfinished, 0, FEW),
      (root) => void history(root, 10, 0, 0, FEW),
    );
    rows.push(...rowsOf(what, "over 10 runs", starts, { of: "orchd", atMost }));
  }
  // Twice as many, which is where a cost of pipelines times history would show.
  const many = Math.round((2 * runs) / MANY.pipelines) * MANY.pipelines;
  const starts = await startsOf(
    ROUNDS,
    (root) => void history(root, many, 0, 0, MANY),
    (root) => void history(root, many, 0, 0, ONE),
  );
  // Over a short history the files of 300 pipelines cost more than their ledgers.
  const goal = runs < RUNS ? undefined : ({ of: "ratio", atMost: 1.5 } as const);
  const what = `${text(many)} runs of ${MANY.pipelines} pipelines`;
  rows.push(...rowsOf(what, "over as many of one pipeline", starts, goal));
  return rows;
}
