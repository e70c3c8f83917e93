/** What metrics say of one pipeline, or of several as one. */
import { FINAL_RUN_STATUSES } from "../../core/status.ts";
import {
  addTally,
  DURATION_BOUNDS,
  emptyTally,
  LATENESS_BOUNDS,
  type Tally,
} from "../../core/tally.ts";
import type { PipelineNumbers } from "./pipeline-numbers.ts";
import { Samples } from "./samples.ts";

const DECISIONS = ["fired", "caught_up", "skipped", "missed", "backfilled"] as const;
const TRIGGERS = ["schedule", "catch_up", "manual", "backfill", "rerun"] as const;
const RESULTS = ["completed", "failed", "cached", "skipped", "stopped"] as const;

/** Every series of runs that is there from the first scrape, as a tally names it. */
const RUN_KINDS = FINAL_RUN_STATUSES.flatMap((status) =>
  TRIGGERS.map((trigger) => `${status} ${trigger}`),
);

/** A pipeline's samples. */
export function samplesOf(pipeline: string, numbers: PipelineNumbers): Samples {
  const out = new Samples();
  addCounters(out, pipeline, numbers.tally);
  addGauges(out, pipeline, numbers);
  return out;
}

/** What is of now. */
function addGauges(out: Samples, pipeline: string, numbers: PipelineNumbers): void {
  const { tally } = numbers;
  // Nobody wants to be told that a pipeline that is gone has not run for a week.
  if (numbers.removed && numbers.active + numbers.queued === 0) return;
  out.add("valid", { pipeline }, Number(numbers.valid));
  out.add("paused", { pipeline }, Number(numbers.paused));
  out.add("active", { pipeline }, numbers.active);
  out.add("queued", { pipeline }, numbers.queued);
  for (const status of FINAL_RUN_STATUSES)
    out.add("lastRun", { pipeline, status }, endedAt(tally, status));
  out.add(
    "lastSuccess",
    { pipeline },
    Math.max(endedAt(tally, "completed"), endedAt(tally, "cached")),
  );
  const { nextFire } = numbers;
  out.add("nextFire", { pipeline }, Number.isFinite(nextFire) ? seconds(nextFire) : 0);
}

function addCounters(out: Samples, pipeline: string, tally: Tally): void {
  for (const decision of keysOf(DECISIONS, tally.slots))
    out.add("slots", { pipeline, decision }, tally.slots[decision] ?? 0);
  for (const kind of keysOf(RUN_KINDS, tally.runs)) {
    const [status = "", trigger = ""] = kind.split(" ");
    out.add("runs", { pipeline, status, trigger }, tally.runs[kind] ?? 0);
  }
  for (const result of keysOf(RESULTS, tally.steps))
    out.add("stepResults", { pipeline, result }, tally.steps[result] ?? 0);
  out.add("retries", { pipeline }, tally.retries);
  out.addHistogram("runDuration", { pipeline }, DURATION_BOUNDS, tally.durations);
  out.addHistogram("slotLateness", { pipeline }, LATENESS_BOUNDS, tally.lateness);
}

/** The kinds that are always there, and those that another release counted. */
function keysOf(always: readonly string[], counted: Readonly<Record<string, number>>): string[] {
  return [...always, ...Object.keys(counted).filter((key) => !always.includes(key))];
}

/**
 * Several pipelines as one: sums, and of what cannot be added the one that a person looks for: any
 * that is not valid, any that is paused, the newest run, the next fire.
 */
export function together(all: readonly PipelineNumbers[]): PipelineNumbers {
  const present = all.filter(({ removed }) => !removed);
  const tally = emptyTally();
  for (const one of all) addTally(tally, one.tally);
  return {
    tally,
    removed: present.length === 0,
    valid: present.every(({ valid }) => valid),
    paused: present.some(({ paused }) => paused),
    active: sum(all, "active"),
    queued: sum(all, "queued"),
    nextFire: Math.min(...present.map(({ nextFire }) => nextFire)),
    undecided: sum(all, "undecided"),
    bytes: sum(all, "bytes"),
  };
}

/** The sum of a number of all of them. */
export function sum(
  all: readonly PipelineNumbers[],
  key: "active" | "queued" | "undecided" | "bytes",
): number {
  return all.reduce((total, one) => total + one[key], 0);
}

function endedAt({ ended }: Tally, status: string): number {
  const at = ended[status];
  return at === undefined ? 0 : seconds(Date.parse(at));
}

/** Milliseconds as seconds. */
export function seconds(ms: number): number {
  return ms / 1_000;
}
