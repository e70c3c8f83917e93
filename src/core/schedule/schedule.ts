/**
 * When a pipeline's slots are due: pure arithmetic over its schedules.
 *
 * A slot is a whole second in UTC. It is due at slot + jitter. The jitter is a hash of pipeline and
 * slot, so every daemon computes the same one, also after a restart.
 *
 * Slots come in tracks. Schedules without params share one track, in which equal slots are one
 * slot. A schedule with params is a track of its own, and its name is in its run ids (semantics.md
 * 1). If several schedules name the same slot, the earliest due time counts, and the rules
 * (catch-up, blackout) of the first one in the file.
 *
 * Every question is by due time, over a half-open stretch (from, to]: the watermark means the same
 * (semantics.md 3).
 */
import { createHash } from "node:crypto";
import { iso } from "../time.ts";
import { cronCalculator, type CronCalculator } from "./cron-calculator.ts";
import { DueWindow } from "./due-window.ts";
import type { Schedule } from "./schedule-schema.ts";

export type { Schedule } from "./schedule-schema.ts";

/** A slot and when it is due, in milliseconds since 1970. */
export interface DueSlot {
  readonly slot: number;
  readonly due: number;
  /** The schedule whose rules count for this slot. */
  readonly schedule: Schedule;
  /** The schedule's name if its slots are a track of their own. It is part of the run's id. */
  readonly track?: string;
}

/** All slots of a pipeline. */
export interface Timetable {
  /** The longest time from a slot until it is due, in milliseconds. */
  readonly reach: number;
  /**
   * The slots that are due in (from, to], ordered by due time, then slot, then track.
   *
   * @param limit the most slots to return: the earliest
   */
  dueSlots(from: number, to: number, limit?: number): DueSlot[];
  /** The slots in (from, to] themselves, whenever they are due, ordered by slot, then track. */
  slots(from: number, to: number, limit: number): DueSlot[];
  /** The first slot that is due after `after`. Undefined if there is none, ever. */
  next(after: number): DueSlot | undefined;
  /** The last slot that is due in (from, to]. Does not walk the whole stretch. */
  newest(from: number, to: number): DueSlot | undefined;
}

/**
 * Gives the instants that a pattern names in a zone: {@link cronCalculator}, or something with the
 * same answers.
 */
export type CronSource = (pattern: string, timezone: string) => Pick<CronCalculator, "next">;

/** The slots of one schedule, before jitter: returns the first one after an instant. */
type SlotSource = (after: number) => number | undefined;

/** The key by which a schedule's runs are counted for `stopAfter`. */
export function scheduleKey(schedule: Schedule): string {
  return schedule.name ?? "";
}

/**
 * The timetable of a pipeline.
 *
 * @param since slots at or before this instant do not count: they belong to the previous text of
 *   the schedules (semantics.md 7)
 * @param calculator gives the instants of a pattern
 * @throws if a pattern or a zone is invalid (those of a validated pipeline are not)
 */
export function timetable(
  pipeline: string,
  schedules: readonly Schedule[],
  since?: number,
  calculator: CronSource = cronCalculator,
): Timetable {
  const tracks = tracksOf(schedules).map(
    (track) => new Track(pipeline, track, since ?? Number.NEGATIVE_INFINITY, calculator),
  );
  return {
    reach: Math.max(0, ...schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000)),
    dueSlots(from, to, limit = Number.POSITIVE_INFINITY) {
      if (tracks.length === 1) return tracks[0]!.between(from, to, limit);
      const all = tracks.flatMap((track) => track.between(from, to, limit)).sort(byDue);
      return all.length > limit ? all.slice(0, limit) : all;
    },
    slots(from, to, limit) {
      const all = tracks.flatMap((track) => track.slots(from, to, limit));
      return all.sort(bySlot).slice(0, limit);
    },
    next(after) {
      let first: DueSlot | undefined;
      for (const track of tracks) {
        const candidate = track.next(after, first?.due);
        if (candidate !== undefined && (first === undefined || byDue(candidate, first) < 0))
          first = candidate;
      }
      return first;
    },
    newest(from, to) {
      for (let span = 900_000; ; span *= 8) {
        const start = Math.max(from, to - span);
        const found = tracks
          .flatMap((track) => track.between(start, to))
          .sort(byDue)
          .at(-1);
        if (found !== undefined || start <= from) return found;
      }
    },
  };
}

/** Orders slots as they are decided: by due time, then slot, then track. */
export function byDue(a: DueSlot, b: DueSlot): number {
  return a.due === b.due ? bySlot(a, b) : a.due - b.due;
}

function bySlot(a: DueSlot, b: DueSlot): number {
  if (a.slot !== b.slot) return a.slot - b.slot;
  return (a.track ?? "") < (b.track ?? "") ? -1 : (a.track ?? "") > (b.track ?? "") ? 1 : 0;
}

/** A slot's identity within its pipeline: its key in `decided` of a pipeline's state. */
export function slotId(slot: DueSlot): string {
  const time = iso(slot.slot);
  return slot.track === undefined ? time : `${time}.${slot.track}`;
}

/**
 * How long after its slot a run is due, in milliseconds. Always the same for one slot of one
 * pipeline.
 *
 * @param jitterSeconds the most that it may be
 */
export function jitterOf(pipeline: string, slot: number, jitterSeconds: number): number {
  if (jitterSeconds <= 0) return 0;
  const hash = createHash("sha256").update(`${pipeline}@${slot}`).digest().readUInt32BE(0);
  return Math.floor((hash / 2 ** 32) * (jitterSeconds * 1_000 + 1));
}

/** Which blackout skips a slot of this schedule, as a reason. Undefined if none covers it. */
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
 * The slots of one schedule without jitter. Includes `startTime`, `endTime`, intervals and one-off
 * slots.
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

function tracksOf(schedules: readonly Schedule[]): Schedule[][] {
  const shared = schedules.filter((schedule) => schedule.params === undefined);
  const own = schedules
    .filter((schedule) => schedule.params !== undefined)
    .map((schedule) => [schedule]);
  return shared.length === 0 ? own : [shared, ...own];
}

/** Schedules whose slots are one sequence. */
class Track {
  readonly #pipeline: string;
  readonly #schedules: readonly { readonly schedule: Schedule; readonly source: SlotSource }[];
  readonly #since: number;
  readonly #name: string | undefined;
  /** The longest time between a slot and its due time, in milliseconds. */
  readonly #reach: number;
  /** The slots of a track with jitter, as they are due. */
  #window: DueWindow<DueSlot> | undefined;
  /** The track's schedule, if there is only one and it has no jitter. */
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
      // Most pipelines come here: with one schedule and no jitter, slots are due in their own
      // order.
      for (
        let slot = only.source(Math.max(from, this.#since));
        slot !== undefined && slot <= to && found.length < limit;
        slot = only.source(slot)
      ) {
        found.push(this.#dueSlot(slot, slot, only.schedule));
      }
      return found;
    }
    if (this.#reach === 0) {
      for (const slot of this.#walk(from, to)) {
        if (found.length >= limit) break;
        if (slot.due > from) found.push(slot);
      }
      return found;
    }
    const window = this.#windowAt(from);
    for (
      let slot = window.first(to);
      slot !== undefined && slot.due <= to && found.length < limit;
      slot = window.first(to)
    ) {
      found.push(slot);
      window.take();
    }
    return found;
  }

  slots(from: number, to: number, limit: number): DueSlot[] {
    const found: DueSlot[] = [];
    // A walk begins where the first slot lies that can be due after its moment.
    const walk = this.#walk(Math.max(from, this.#since) + this.#reach, to);
    while (found.length < limit) {
      const { value } = walk.next();
      if (value === undefined) break;
      found.push(value);
    }
    return found;
  }

  next(after: number, before = Number.POSITIVE_INFINITY): DueSlot | undefined {
    const only = this.#only;
    if (only !== undefined) {
      const slot = only.source(Math.max(after, this.#since));
      return slot === undefined || slot > before
        ? undefined
        : this.#dueSlot(slot, slot, only.schedule);
    }
    if (this.#reach > 0) return this.#windowAt(after).first(before);
    for (const slot of this.#walk(after, before)) if (slot.due > after) return slot;
    return undefined;
  }

  /** The slots that are due after a moment. */
  #windowAt(after: number): DueWindow<DueSlot> {
    if (this.#window?.moveTo(after) !== true)
      this.#window = new DueWindow(
        this.#walk(after, Number.POSITIVE_INFINITY),
        after,
        this.#reach,
        byDue,
      );
    return this.#window;
  }

  /**
   * The track's slots in order: from the first that can be due after `from` to the last that can be
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

  /**
   * The slot that these schedules share: the earliest due time counts, and the first one's rules.
   */
  #meeting(slot: number, meeting: readonly Schedule[]): DueSlot {
    let due = Number.POSITIVE_INFINITY;
    for (const { jitterSeconds } of meeting)
      due = Math.min(due, slot + jitterOf(this.#pipeline, slot, jitterSeconds));
    return this.#dueSlot(slot, due, meeting[0]!);
  }

  #dueSlot(slot: number, due: number, schedule: Schedule): DueSlot {
    return this.#name === undefined
      ? { slot, due, schedule }
      : { slot, due, schedule, track: this.#name };
  }
}
