/**
 * What a backfill would cost (`orchd backfill --dry-run`): its slots and runs, what the cache would
 * answer of them, and how long the rest would take by how long runs took so far.
 */
import { MOST_BACKFILL_SLOTS } from "../core/backfill-bounds.ts";
import { snapshotFor } from "../core/compile.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { parseRunId, runIdForSlot } from "../core/run-id.ts";
import { runStatus } from "../core/run-status.ts";
import { timetable, type DueSlot, type Schedule } from "../core/schedule/schedule.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { iso } from "../core/time.ts";
import { newestRun } from "../ledger/newest-run.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { CacheForecast, type CacheSettings } from "./cache-forecast.ts";
import { runsBackwards } from "./run-history.ts";
import { stateOfRun } from "./run-reading.ts";

/** The typical duration is that of this many newest completed runs. */
const HISTORY_RUNS = 100;
/** The cache is asked about this many slots, the first ones. */
export const FORECAST_SLOTS = 2_000;

/** Which of the slots a backfill runs: those without a run, those that failed, all. */
export type BackfillChoice = "missing" | "failed" | "all";

/** A backfill that is thought of. Times are milliseconds since 1970, both included. */
export interface BackfillPlan {
  readonly from: number;
  readonly to: number;
  readonly which: BackfillChoice;
  /** How many of its runs go on at once. */
  readonly maxActive: number;
}

/** `orchd backfill --dry-run --json`. Times are ISO 8601 in UTC. */
export interface BackfillPrice {
  readonly pipeline: string;
  readonly from: string;
  readonly to: string;
  readonly which: BackfillChoice;
  /** How many slots there are. */
  readonly slots: number;
  /** How many of them get a run. */
  readonly runs: number;
  /** How many runs execute at least one step. */
  readonly executes: number;
  /** How many runs the cache answers whole. */
  readonly cached: number;
  /** Steps of the first {@link FORECAST_SLOTS} runs. */
  readonly steps: { readonly total: number; readonly cached: number };
  /** Milliseconds; null where no run of the pipeline has completed yet. */
  readonly estimatedMs: number | null;
  /** The first and last slot that gets a run. */
  readonly first: string | null;
  readonly last: string | null;
}

/** A pipeline whose backfill is priced. */
export interface PricedPipeline {
  readonly name: string;
  readonly schedules: readonly Schedule[];
  /** What a slot's run would run; undefined where its steps are not known. */
  snapshotOf(slot: DueSlot): Snapshot | undefined;
}

/**
 * Prices a backfill of a pipeline as its file has it now. Where it has more slots than a backfill
 * may have, `slots` says that alone: not all of them are counted.
 *
 * @param now milliseconds since 1970
 */
export function priceBackfill(
  store: RunStore,
  loaded: LoadedPipeline,
  settings: CacheSettings,
  plan: BackfillPlan,
  now: number,
): BackfillPrice {
  const { name, schedules } = loaded;
  const snapshotOf = ({ schedule }: DueSlot): Snapshot | undefined => {
    const bound = snapshotFor(loaded, schedule.params ?? {});
    return bound.ok ? bound.snapshot : undefined;
  };
  const slots = slotsBetween({ name, schedules }, plan, MOST_BACKFILL_SLOTS + 1);
  return priceSlots(store, { name, schedules, snapshotOf }, settings, { ...plan, slots, now });
}

/** Prices a backfill of these slots, which are those from `from` through `to`. */
export function priceSlots(
  store: RunStore,
  priced: PricedPipeline,
  settings: CacheSettings,
  plan: BackfillPlan & { readonly slots: readonly DueSlot[]; readonly now: number },
): BackfillPrice {
  const { from, to, which, maxActive, slots, now } = plan;
  const pipeline = priced.name;
  const runs = runsOfSlots(store, pipeline, from, to);
  const due = slots.filter((slot) => isWanted(store, which, runs.get(slotRun(pipeline, slot))));
  const cache = askCache(store, priced, settings, due.slice(0, FORECAST_SLOTS), now);
  const typical = typicalMs(store, pipeline);
  const executes = due.length - cache.runs;
  const [first, last] = [due[0], due.at(-1)];
  return {
    pipeline,
    from: iso(from),
    to: iso(to),
    which,
    slots: slots.length,
    runs: due.length,
    executes,
    cached: cache.runs,
    steps: { total: cache.steps, cached: cache.cachedSteps },
    estimatedMs: typical === null ? null : Math.ceil(executes / maxActive) * typical,
    first: first === undefined ? null : iso(first.slot),
    last: last === undefined ? null : iso(last.slot),
  };
}

/** The slots, not the due times, from `from` through `to`: at most `most` are looked at. */
export function slotsBetween(
  { name, schedules }: Pick<PricedPipeline, "name" | "schedules">,
  { from, to }: Pick<BackfillPlan, "from" | "to">,
  most: number,
): DueSlot[] {
  const reach = Math.max(0, ...schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
  return timetable(name, schedules)
    .dueSlots(from - 1, to + reach, most)
    .filter(({ slot }) => slot >= from && slot <= to);
}

function slotRun(pipeline: string, { slot, track }: DueSlot): string {
  return runIdForSlot(pipeline, slot, track);
}

/** The runs of each slot that has any, by the id of the slot's scheduled run. */
function runsOfSlots(
  store: RunStore,
  pipeline: string,
  from: number,
  to: number,
): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const run of store.list(pipeline)) {
    const id = parseRunId(run);
    if (id?.slot === undefined || id.stampMs < from || id.stampMs > to) continue;
    const slot = runIdForSlot(pipeline, id.stampMs, id.schedule);
    const before = found.get(slot);
    if (before === undefined) found.set(slot, [run]);
    else before.push(run);
  }
  return found;
}

function isWanted(store: RunStore, which: BackfillChoice, runs: readonly string[] = []): boolean {
  if (which === "all") return true;
  if (which === "missing") return runs.length === 0;
  const newest = newestRun(store, runs);
  const state = newest === undefined ? undefined : stateOfRun(store, newest);
  if (state === undefined) return false;
  const { status } = runStatus(state);
  return status === "failed" || status === "stopped";
}

/**
 * What the cache would answer of runs for these slots; a dynamic pipeline's steps are not known.
 */
function askCache(
  store: RunStore,
  priced: PricedPipeline,
  settings: CacheSettings,
  slots: readonly DueSlot[],
  now: number,
): { readonly runs: number; readonly steps: number; readonly cachedSteps: number } {
  const forecast = new CacheForecast(store, settings);
  let [runs, steps, cachedSteps] = [0, 0, 0];
  for (const slot of slots) {
    const snapshot = priced.snapshotOf(slot);
    if (snapshot === undefined || snapshot.dynamic !== undefined) continue;
    const run = `${slotRun(priced.name, slot)}-b1`;
    const cached = forecast.cachedSteps(snapshot, run, iso(slot.slot), now);
    steps += snapshot.steps.length;
    cachedSteps += cached.length;
    if (cached.length === snapshot.steps.length && cached.length > 0) runs += 1;
  }
  forecast.close();
  return { runs, steps, cachedSteps };
}

/** The median of what its completed runs took; null without any. */
function typicalMs(store: RunStore, pipeline: string): number | null {
  const durations: number[] = [];
  for (const { workedMs, status } of runsBackwards(store, pipeline)) {
    if (workedMs !== undefined && status === "completed") durations.push(workedMs);
    if (durations.length === HISTORY_RUNS) break;
  }
  return durations.length === 0
    ? null
    : durations.toSorted((a, b) => a - b)[Math.floor((durations.length - 1) / 2)]!;
}
