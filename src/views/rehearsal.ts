/**
 * What the coming days will be like (`orchd next --days`): seconds in which many slots are due at
 * once, runs that will still go on when their next slot comes (by how long they took so far), and
 * slots that daylight saving moves.
 */
import type { DueSlot } from "../core/schedule/schedule.ts";
import { offsetAt } from "../core/schedule/zone.ts";
import { DAY_MS, iso } from "../core/time.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { nextSlot, type NextSlot } from "./coming-slots.ts";
import type { Planned } from "./planned.ts";
import { runsBackwards } from "./run-history.ts";

/** The most slots of one pipeline that are looked at: one each second for a week. */
export const MOST_SLOTS = 604_800;
/**
 * The most slots of one pipeline near changes of offset that are looked at: a pipeline that fires
 * each second has a day of them.
 */
const MOST_MOVED = 5_000;
/** Durations are those of this many newest runs. */
const HISTORY_RUNS = 100;
/** With fewer runs, nothing is said of overlaps. */
const LEAST_HISTORY = 3;

/** `orchd next --days N --json`. Times are ISO 8601 in UTC. */
export interface Rehearsal {
  readonly from: string;
  readonly to: string;
  /** How many slots there are. */
  readonly slots: number;
  /** Pipelines with more slots than are looked at, and the due time of the last one that is. */
  readonly cut: readonly { readonly pipeline: string; readonly through: string }[];
  /** Those with the most slots first. */
  readonly pileUps: readonly PileUp[];
  readonly overlaps: readonly Overlap[];
  /** Slots that daylight saving moves or doubles. */
  readonly moved: readonly NextSlot[];
}

/** A second in which many slots are due. */
export interface PileUp {
  readonly second: string;
  readonly count: number;
  readonly pipelines: readonly string[];
}

/** A pipeline whose runs will still go on at a next slot. */
export interface Overlap {
  readonly pipeline: string;
  /** The first slot whose run will, and the one after it. */
  readonly slot: string;
  readonly nextSlot: string;
  readonly everyMs: number;
  /** How long its runs take: the median, and the longest of ten (the 90th percentile). */
  readonly medianMs: number;
  readonly longMs: number;
  /** How many slots come while a run goes on. */
  readonly slots: number;
}

/**
 * Rehearses the days after `from` (milliseconds since 1970).
 *
 * @param most more slots than this in one second are a pile-up
 */
export function rehearse(
  store: RunStore,
  planned: readonly Planned[],
  { from, days, most }: { readonly from: number; readonly days: number; readonly most: number },
): Rehearsal {
  const to = from + days * DAY_MS;
  const seconds = new Map<number, string[]>();
  const cut: { readonly pipeline: string; readonly through: string }[] = [];
  const overlaps: Overlap[] = [];
  const moved: NextSlot[] = [];
  let total = 0;
  for (const it of planned) {
    const slots = it.table.dueSlots(from, to, MOST_SLOTS);
    total += slots.length;
    if (slots.length === MOST_SLOTS)
      cut.push({ pipeline: it.pipeline, through: iso(slots.at(-1)!.due) });
    countSeconds(seconds, it.pipeline, slots);
    const overlap = overlapOf(store, it.pipeline, slots);
    if (overlap !== undefined) overlaps.push(overlap);
    moved.push(...movedSlots(it, slots));
  }
  return {
    from: iso(from),
    to: iso(to),
    slots: total,
    cut,
    pileUps: pileUpsOf(seconds, most),
    overlaps,
    moved,
  };
}

function countSeconds(
  seconds: Map<number, string[]>,
  pipeline: string,
  slots: readonly DueSlot[],
): void {
  for (const { due } of slots) {
    const second = Math.floor(due / 1_000);
    const there = seconds.get(second);
    if (there === undefined) seconds.set(second, [pipeline]);
    else there.push(pipeline);
  }
}

function pileUpsOf(seconds: ReadonlyMap<number, readonly string[]>, most: number): PileUp[] {
  return [...seconds]
    .filter(([, pipelines]) => pipelines.length > most)
    .map(([second, pipelines]) => ({
      second: iso(second * 1_000),
      count: pipelines.length,
      pipelines: [...new Set(pipelines)],
    }))
    .toSorted((a, b) => b.count - a.count || (a.second < b.second ? -1 : 1));
}

function overlapOf(
  store: RunStore,
  pipeline: string,
  slots: readonly DueSlot[],
): Overlap | undefined {
  const durations: number[] = [];
  for (const { workedMs } of runsBackwards(store, pipeline)) {
    if (workedMs !== undefined) durations.push(workedMs);
    if (durations.length === HISTORY_RUNS) break;
  }
  if (durations.length < LEAST_HISTORY) return undefined;
  durations.sort((a, b) => a - b);
  const medianMs = durations[Math.floor((durations.length - 1) / 2)]!;
  const longMs = durations[Math.floor((durations.length - 1) * 0.9)]!;
  const every = (index: number): number => slots[index]!.slot - slots[index - 1]!.slot;
  let first = -1;
  let count = 0;
  for (let index = 1; index < slots.length; index += 1) {
    if (every(index) >= longMs) continue;
    if (first < 0) first = index;
    count += 1;
  }
  if (first < 0) return undefined;
  return {
    pipeline,
    slot: iso(slots[first - 1]!.slot),
    nextSlot: iso(slots[first]!.slot),
    everyMs: every(first),
    medianMs,
    longMs,
    slots: count,
  };
}

/**
 * The slots that daylight saving moves or doubles. Only slots within a day of a change of their
 * zone's offset can be, and a look at one is dear.
 */
function movedSlots(planned: Planned, slots: readonly DueSlot[]): NextSlot[] {
  return slots
    .filter(nearTransition())
    .slice(0, MOST_MOVED)
    .map((slot) => nextSlot(planned, slot))
    .filter(({ note }) => note?.startsWith("gap") === true || note?.startsWith("overlap") === true);
}

function nearTransition(): (slot: DueSlot) => boolean {
  const days = new Map<string, boolean>();
  return ({ slot, schedule: { timezone } }) => {
    if (timezone === "UTC") return false;
    const day = Math.floor(slot / DAY_MS);
    const key = `${timezone} ${day}`;
    let near = days.get(key);
    if (near === undefined) {
      near = offsetAt((day - 1) * DAY_MS, timezone) !== offsetAt((day + 2) * DAY_MS, timezone);
      days.set(key, near);
    }
    return near;
  };
}
