/** A coming slot as `orchd next` prints it. */
import { blackoutOf, type DueSlot, type Timetable } from "../core/schedule/schedule.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { iso } from "../core/time.ts";
import { daylightNote, localText } from "./slot-text.ts";

/** One slot of `orchd next --json`. */
export interface NextSlot {
  readonly pipeline: string;
  /** ISO 8601, UTC. */
  readonly slot: string;
  /** Local time with its offset. */
  readonly local: string;
  /** When it is due, where jitter makes that later. */
  readonly due?: string;
  /** The schedule's name, where its slots are of their own. */
  readonly schedule?: string;
  /** What is special about it: a gap, an overlap, a blackout, a pause. */
  readonly note?: string;
}

/** A pipeline and when its slots are. */
export interface Planned {
  readonly pipeline: string;
  readonly table: Timetable;
  readonly paused: boolean;
}

/** A slot as it is printed. */
export function describe(planned: Planned, { slot, due, schedule, lane }: DueSlot): NextSlot {
  const notes = [
    daylightNote(slot, schedule),
    blackoutNote(schedule, slot),
    planned.paused ? "paused: it will be skipped" : undefined,
  ].filter((note) => note !== undefined);
  return {
    pipeline: planned.pipeline,
    slot: iso(slot),
    local: localText(slot, schedule.timezone),
    ...(due === slot ? {} : { due: iso(due) }),
    ...(lane === undefined ? {} : { schedule: lane }),
    ...(notes.length === 0 ? {} : { note: notes.join("; ") }),
  };
}

function blackoutNote(schedule: Schedule, slot: number): string | undefined {
  const because = blackoutOf(schedule, slot);
  return because === undefined ? undefined : `${because}: it will be skipped`;
}
