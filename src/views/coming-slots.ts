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

/**
 * The first `number` slots of all pipelines after `from` (milliseconds since 1970), by slot. Once
 * there are enough, only those of a pipeline are worked out that come before the last of them.
 */
export function comingSlots(planned: readonly Planned[], from: number, number: number): NextSlot[] {
  const coming: { readonly it: Planned; readonly slot: DueSlot }[] = [];
  let until = Number.POSITIVE_INFINITY;
  for (const it of planned) {
    for (const slot of slotsAfter(it, from, number, until)) coming.push({ it, slot });
    if (coming.length < (until === Number.POSITIVE_INFINITY ? number : 2 * number)) continue;
    cutTo(coming, number);
    until = coming.at(-1)?.slot.slot ?? from;
  }
  cutTo(coming, number);
  return coming.map(({ it, slot }) => nextSlot(it, slot));
}

/** Leaves the first ones by slot, and by pipeline where slots are equal. */
function cutTo(coming: { readonly it: Planned; readonly slot: DueSlot }[], number: number): void {
  coming.sort((a, b) => a.slot.slot - b.slot.slot || (a.it.pipeline < b.it.pipeline ? -1 : 1));
  coming.length = Math.min(coming.length, number);
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
