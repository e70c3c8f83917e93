/** The coming slots, with what is special about each (`orchd next`). */
import { defined } from "../core/defined.ts";
import { blackoutOf, type DueSlot, type Schedule } from "../core/schedule/schedule.ts";
import { iso } from "../core/time.ts";
import { slotsAfter, type Planned } from "./planned.ts";
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
  /** The schedule's name, where its slots are its own. */
  readonly schedule?: string;
  /** What is special about it: a gap, an overlap, a blackout, a pause. */
  readonly note?: string;
}

/** The first `number` slots of all pipelines after `from` (milliseconds since 1970), by slot. */
export function comingSlots(planned: readonly Planned[], from: number, number: number): NextSlot[] {
  return planned
    .flatMap((it) => slotsAfter(it, from, number).map((slot) => ({ it, slot })))
    .toSorted((a, b) => a.slot.slot - b.slot.slot || (a.it.pipeline < b.it.pipeline ? -1 : 1))
    .slice(0, number)
    .map(({ it, slot }) => nextSlot(it, slot));
}

/** One slot, with its notes. */
export function nextSlot(planned: Planned, { slot, due, schedule, track }: DueSlot): NextSlot {
  const notes = [
    daylightNote(slot, schedule),
    blackoutNote(schedule, slot),
    planned.paused ? "paused: it will be skipped" : undefined,
  ].filter((note) => note !== undefined);
  return {
    pipeline: planned.pipeline,
    slot: iso(slot),
    local: localText(slot, schedule.timezone),
    ...defined({
      due: due === slot ? undefined : iso(due),
      schedule: track,
      note: notes.length === 0 ? undefined : notes.join("; "),
    }),
  };
}

function blackoutNote(schedule: Schedule, slot: number): string | undefined {
  const because = blackoutOf(schedule, slot);
  return because === undefined ? undefined : `${because}: it will be skipped`;
}
