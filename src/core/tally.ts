/**
 * What a pipeline's ledger has counted since its first line, for metrics.
 *
 * Each number only grows: it is a part of the fold, and a checkpoint carries it on. So it outlives
 * restarts, rotation and pruning, and no run's ledger is read for it. A checkpoint of an older
 * release has none: then the tally begins with that checkpoint's `counts`.
 */
import { parseRunId } from "./run-id.ts";

/** How many values fell into each bucket, and their sum in milliseconds. */
export interface Histogram {
  /** One number for each bound, of the values above the bound before; the last is beyond all. */
  readonly counts: number[];
  sumMs: number;
}

/** What a pipeline's ledger has counted. */
export interface Tally {
  /** When the first line was written, ISO 8601. */
  since?: string;
  /** Slots by decision: `fired caught_up skipped missed backfilled`. */
  readonly slots: Record<string, number>;
  /** Runs that ended, by `STATUS TRIGGER`. */
  readonly runs: Record<string, number>;
  /** Steps of these runs, by how they ended. */
  readonly steps: Record<string, number>;
  /** Attempts of these steps that came after a failed one. */
  retries: number;
  /** How long the runs were worked on. */
  readonly durations: Histogram;
  /** How long after their due time slots fired or were caught up. */
  readonly lateness: Histogram;
  /** When the newest run of each status ended, ISO 8601. */
  readonly ended: Record<string, string>;
}

/** The end of a run, as far as it is counted. */
interface CountedEnd {
  readonly run: string;
  readonly at: string;
  readonly status: string;
  readonly durationMs: number;
  readonly workedMs?: number | undefined;
  readonly trigger?: string | undefined;
  readonly steps?: Readonly<Record<string, number>> | undefined;
  readonly retries?: number | undefined;
}

/** The trigger of runs that an older release counted: it did not note it. */
export const UNKNOWN_TRIGGER = "unknown";

/** Upper bounds of the buckets, in seconds. A ledger holds counts by them: they never change. */
export const DURATION_BOUNDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400] as const;
/** Upper bounds of the buckets of lateness, in seconds. They never change either. */
export const LATENESS_BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 3_600, 86_400] as const;

/** A tally before the first line. */
export function emptyTally(): Tally {
  return {
    slots: {},
    runs: {},
    steps: {},
    retries: 0,
    durations: { counts: [], sumMs: 0 },
    lateness: { counts: [], sumMs: 0 },
    ended: {},
  };
}

/** A copy that shares nothing with the original. */
export function copyOfTally(tally: Tally): Tally {
  return {
    ...tally,
    slots: { ...tally.slots },
    runs: { ...tally.runs },
    steps: { ...tally.steps },
    durations: { ...tally.durations, counts: [...tally.durations.counts] },
    lateness: { ...tally.lateness, counts: [...tally.lateness.counts] },
    ended: { ...tally.ended },
  };
}

/** Counts a slot. @param latenessMs how late its run was made; undefined: there is none */
export function tallySlot(tally: Tally, decision: string, latenessMs?: number): void {
  add(tally.slots, decision, 1);
  if (latenessMs !== undefined) observe(tally.lateness, LATENESS_BOUNDS, latenessMs);
}

/** Counts a run that ended, and its steps. */
export function tallyRun(tally: Tally, end: CountedEnd): void {
  add(tally.runs, `${end.status} ${end.trigger ?? triggerById(end.run)}`, 1);
  observe(tally.durations, DURATION_BOUNDS, end.workedMs ?? end.durationMs);
  tally.ended[end.status] = end.at;
  if (end.retries !== undefined) tally.retries += end.retries;
  if (end.steps === undefined) return;
  for (const result in end.steps) add(tally.steps, result, end.steps[result]!);
}

/** Adds a tally to another: several pipelines as one. */
export function addTally(to: Tally, tally: Tally): void {
  for (const part of ["slots", "runs", "steps"] as const)
    for (const [key, count] of Object.entries(tally[part])) add(to[part], key, count);
  to.retries += tally.retries;
  for (const part of ["durations", "lateness"] as const) {
    const { counts } = to[part];
    for (const [index, count] of tally[part].counts.entries())
      counts[index] = (counts[index] ?? 0) + count;
    to[part].sumMs += tally[part].sumMs;
  }
  for (const [status, at] of Object.entries(tally.ended))
    if (at > (to.ended[status] ?? "")) to.ended[status] = at;
}

/** The tally that an older release's checkpoint allows: slots, and runs by status. */
export function tallyOfCounts(counts: Readonly<Record<string, number>>): Tally {
  const tally = emptyTally();
  for (const [kind, count] of Object.entries(counts)) {
    const decision = DECISIONS[kind];
    if (decision === undefined) add(tally.runs, `${kind} ${UNKNOWN_TRIGGER}`, count);
    else add(tally.slots, decision, count);
  }
  return tally;
}

/** The decisions by the names that a checkpoint's `counts` has for them. */
const DECISIONS: Readonly<Record<string, string>> = {
  fired: "fired",
  caughtUp: "caught_up",
  skipped: "skipped",
  missed: "missed",
  backfilled: "backfilled",
};

/** A run's trigger, as its id has it: one that was caught up looks like one on time. */
function triggerById(run: string): string {
  const id = parseRunId(run);
  if (id === undefined) return UNKNOWN_TRIGGER;
  if (id.rerun !== undefined) return "rerun";
  if (id.backfill !== undefined) return "backfill";
  return id.manual ? "manual" : "schedule";
}

function add(counts: Record<string, number>, key: string, count: number): void {
  counts[key] = (counts[key] ?? 0) + count;
}

function observe(histogram: Histogram, bounds: readonly number[], ms: number): void {
  const value = Math.max(0, ms);
  let bucket = 0;
  while (bucket < bounds.length && value > bounds[bucket]! * 1_000) bucket += 1;
  const { counts } = histogram;
  while (counts.length <= bucket) counts.push(0);
  counts[bucket]! += 1;
  histogram.sumMs += value;
}
