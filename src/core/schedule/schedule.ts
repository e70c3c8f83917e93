/**
 * When a pipeline's slots are due: pure arithmetic over its schedules.
 *
 * A slot is a whole second in UTC; it is due at slot + jitter, and the jitter is a hash of pipeline
 * and slot, so that every daemon, today and after a restart, gets the same. Slots come in lanes:
 * schedules without params of their own share one lane, in which slots that meet are one slot; a
 * schedule with params is a lane by itself, named in its runs' ids (semantics.md 1). Where several
 * schedules meet in one slot, the earliest due time counts, and the rules (catch-up, blackout) of
 * the first in the file's order.
 *
 * Everything is asked for by due time, in half-open stretches (from, to]: that is what the
 * watermark is (semantics.md 3).
 */
import { createHash } from "node:crypto";
import { iso } from "../time.ts";
import { cronCalculator, type CronCalculator } from "./cron-calculator.ts";
import type { Schedule } from "./schedule-schema.ts";

export type { Schedule } from "./schedule-schema.ts";

/** A slot and when it is due, in milliseconds since 1970. */
export interface DueSlot {
  readonly slot: number;
  readonly due: number;
  /** The schedule whose rules count. */
  readonly schedule: Schedule;
  /** The schedule's name where its slots are a lane of their own: part of the run's id. */
  readonly lane?: string;
}

/** All slots of a pipeline. */
export interface Timetable {
  /**
   * The slots due in (from, to], ordered by due time, then slot, then lane. @param limit no more
   * than so many (they are the earliest)
   */
  dueSlots(from: number, to: number, limit?: number): DueSlot[];
  /** The first slot due after `after`; undefined where none ever is. */
  next(after: number): DueSlot | undefined;
  /** The last slot due in (from, to], found without walking the whole stretch. */
  newest(from: number, to: number): DueSlot | undefined;
}

/**
 * Where the instants that a pattern names in a zone come from: {@link cronCalculator}, or what
 * gives the same.
 */
export type CronSource = (pattern: string, timezone: string) => Pick<CronCalculator, "next">;

/** The slots of one schedule, before jitter: the first after an instant. */
type SlotSource = (after: number) => number | undefined;

/** The key under which a schedule's runs are counted for `stopAfter`. */
export function scheduleKey(schedule: Schedule): string {
  return schedule.name ?? "";
}

/**
 * The timetable of a pipeline.
 *
 * @param since slots at or before this instant do not count: they belong to the text before this
 *   one (semantics.md 7)
 * @param calculator where a pattern's instants come from
 * @throws where a pattern or a zone is invalid (a validated pipeline's are not)
 */
export function timetable(
  pipeline: string,
  schedules: readonly Schedule[],
  since?: number,
  calculator: CronSource = cronCalculator,
): Timetable {
  const lanes = lanesOf(schedules).map(
    (lane) => new Lane(pipeline, lane, since ?? Number.NEGATIVE_INFINITY, calculator),
  );
  return {
    dueSlots(from, to, limit = Number.POSITIVE_INFINITY) {
      if (lanes.length === 1) return lanes[0]!.between(from, to, limit);
      const all = lanes.flatMap((lane) => lane.between(from, to, limit)).sort(byDue);
      return all.length > limit ? all.slice(0, limit) : all;
    },
    next(after) {
      let first: DueSlot | undefined;
      for (const lane of lanes) {
        const candidate = lane.next(after, first?.due);
        if (candidate !== undefined && (first === undefined || byDue(candidate, first) < 0))
          first = candidate;
      }
      return first;
    },
    newest(from, to) {
      for (let span = 900_000; ; span *= 8) {
        const start = Math.max(from, to - span);
        const found = lanes
          .flatMap((lane) => lane.between(start, to))
          .sort(byDue)
          .at(-1);
        if (found !== undefined || start <= from) return found;
      }
    },
  };
}

/** Orders slots as they are decided. */
export function byDue(a: DueSlot, b: DueSlot): number {
  if (a.due !== b.due) return a.due - b.due;
  if (a.slot !== b.slot) return a.slot - b.slot;
  return (a.lane ?? "") < (b.lane ?? "") ? -1 : (a.lane ?? "") > (b.lane ?? "") ? 1 : 0;
}

/** Which slot it is, within a pipeline: the key of `decided` in a pipeline's state. */
export function slotId(slot: DueSlot): string {
  const time = iso(slot.slot);
  return slot.lane === undefined ? time : `${time}.${slot.lane}`;
}

/**
 * How long after its slot a run is due, in milliseconds: the same wherever and whenever it is
 * asked.
 *
 * @param jitterSeconds the most it may be
 */
export function jitterOf(pipeline: string, slot: number, jitterSeconds: number): number {
  if (jitterSeconds <= 0) return 0;
  const hash = createHash("sha256").update(`${pipeline}@${slot}`).digest().readUInt32BE(0);
  return Math.floor((hash / 2 ** 32) * (jitterSeconds * 1_000 + 1));
}

/** Why a slot of this schedule is skipped by a blackout; undefined where none covers it. */
export function blackoutOf(schedule: Schedule, slot: number): string | undefined {
  for (const blackout of schedule.blackout) {
    const covered =
      "cron" in blackout
        ? (cronCalculator(blackout.cron, schedule.timezone).next(slot - blackout.durationMs) ??
            Number.POSITIVE_INFINITY) <= slot
        : slot >= Date.parse(blackout.from) && slot < Date.parse(blackout.to);
    if (covered)
      return "cron" in blackout
        ? `blackout "${blackout.cron}"`
        : `blackout from ${blackout.from} to ${blackout.to}`;
  }
  return undefined;
}

/**
 * The slots of one schedule without jitter, `startTime`, `endTime`, interval and one-off included.
 */
export function slotSource(
  schedule: Schedule,
  calculator: CronSource = cronCalculator,
): SlotSource {
  const start =
    schedule.startTime === undefined
      ? Number.NEGATIVE_INFINITY
      : ceilSecond(Date.parse(schedule.startTime));
  const end =
    schedule.endTime === undefined ? Number.POSITIVE_INFINITY : Date.parse(schedule.endTime);
  const bounded =
    (next: SlotSource): SlotSource =>
    (after) => {
      const slot = next(Math.max(after, start - 1));
      return slot === undefined || slot > end ? undefined : slot;
    };
  if (schedule.cron !== undefined) {
    const { cron, timezone } = schedule;
    return bounded((after) => calculator(cron, timezone).next(after));
  }
  if (schedule.intervalSeconds !== undefined) {
    const step = schedule.intervalSeconds * 1_000;
    return bounded((after) =>
      after < start ? start : start + (Math.floor((after - start) / step) + 1) * step,
    );
  }
  const once =
    schedule.runOnceAt === undefined ? Number.NaN : ceilSecond(Date.parse(schedule.runOnceAt));
  return bounded((after) => (once > after ? once : undefined));
}

function ceilSecond(milliseconds: number): number {
  return Math.ceil(milliseconds / 1_000) * 1_000;
}

function lanesOf(schedules: readonly Schedule[]): Schedule[][] {
  const shared = schedules.filter((schedule) => schedule.params === undefined);
  const own = schedules
    .filter((schedule) => schedule.params !== undefined)
    .map((schedule) => [schedule]);
  return shared.length === 0 ? own : [shared, ...own];
}

/** Schedules whose slots are one sequence. */
class Lane {
  readonly #pipeline: string;
  readonly #schedules: readonly { readonly schedule: Schedule; readonly source: SlotSource }[];
  readonly #since: number;
  readonly #name: string | undefined;
  /** The longest time that a slot may wait for its due time. */
  readonly #reach: number;
  /** The lane's one schedule, if it has but one and no jitter. */
  readonly #only: { readonly schedule: Schedule; readonly source: SlotSource } | undefined;

  constructor(
    pipeline: string,
    schedules: readonly Schedule[],
    since: number,
    calculator: CronSource,
  ) {
    this.#pipeline = pipeline;
    this.#schedules = schedules.map((schedule) => ({
      schedule,
      source: slotSource(schedule, calculator),
    }));
    this.#since = since;
    this.#name = schedules[0]?.params === undefined ? undefined : schedules[0].name;
    this.#reach = Math.max(0, ...schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
    this.#only = this.#schedules.length === 1 && this.#reach === 0 ? this.#schedules[0] : undefined;
  }

  between(from: number, to: number, limit = Number.POSITIVE_INFINITY): DueSlot[] {
    const found: DueSlot[] = [];
    const only = this.#only;
    if (only !== undefined) {
      // By far the most pipelines: one schedule, no jitter, so slots are due in their own order.
      for (
        let slot = only.source(Math.max(from, this.#since));
        slot !== undefined && slot <= to && found.length < limit;
        slot = only.source(slot)
      ) {
        found.push(this.#dueSlot(slot, slot, only.schedule));
      }
      return found;
    }
    // A limit cuts by due time, which jitter may put in another order than the slots: look one
    // reach further before it counts.
    let enough = Number.POSITIVE_INFINITY;
    for (const slot of this.#walk(from, to)) {
      if (slot.slot > enough) break;
      if (slot.due > from && slot.due <= to) found.push(slot);
      if (found.length >= limit && enough === Number.POSITIVE_INFINITY)
        enough = slot.slot + this.#reach;
    }
    if (this.#reach > 0) found.sort(byDue);
    return found.length > limit ? found.slice(0, limit) : found;
  }

  next(after: number, before = Number.POSITIVE_INFINITY): DueSlot | undefined {
    const only = this.#only;
    if (only !== undefined) {
      const slot = only.source(Math.max(after, this.#since));
      return slot === undefined || slot > before
        ? undefined
        : this.#dueSlot(slot, slot, only.schedule);
    }
    let best: DueSlot | undefined;
    for (const slot of this.#walk(after, before)) {
      if (best !== undefined && slot.slot >= best.due) break;
      if (slot.due > after && (best === undefined || byDue(slot, best) < 0)) best = slot;
    }
    return best;
  }

  /**
   * The lane's slots in order, from the first that can be due after `from` to the last that can be
   * due at `to`.
   */
  *#walk(from: number, to: number): Generator<DueSlot> {
    const start = Math.max(from - this.#reach, this.#since);
    const heads = this.#schedules.map(({ source }) => source(start));
    for (;;) {
      let slot = Number.POSITIVE_INFINITY;
      for (const head of heads) if (head !== undefined && head < slot) slot = head;
      if (slot > to || slot === Number.POSITIVE_INFINITY) return;
      const meeting: Schedule[] = [];
      for (const [index, { schedule, source }] of this.#schedules.entries()) {
        if (heads[index] !== slot) continue;
        meeting.push(schedule);
        heads[index] = source(slot);
      }
      yield this.#meeting(slot, meeting);
    }
  }

  /** The slot in which these schedules meet: the earliest due time counts, the first's rules. */
  #meeting(slot: number, meeting: readonly Schedule[]): DueSlot {
    let due = Number.POSITIVE_INFINITY;
    for (const { jitterSeconds } of meeting)
      due = Math.min(due, slot + jitterOf(this.#pipeline, slot, jitterSeconds));
    return this.#dueSlot(slot, due, meeting[0]!);
  }

  #dueSlot(slot: number, due: number, schedule: Schedule): DueSlot {
    return this.#name === undefined
      ? { slot, due, schedule }
      : { slot, due, schedule, lane: this.#name };
  }
}
