/**
 * Where a schedule with `stopAfter` is expected to end: with the last of the slots that it has
 * left, if each of them fires. Slots in a blackout do not. One that is skipped or missed all the
 * same puts the end off, and then the next forecast says so.
 */
import { blackoutOf, scheduleKey, timetable, type Schedule } from "../core/schedule/schedule.ts";
import { iso } from "../core/time.ts";

/** How many slots are gone through for it: an end that is further away is not told. */
const MOST_SLOTS = 1_000;

/** The schedules, ended where their `stopAfter` is expected to end them. */
export function withExpectedEnds(
  schedules: readonly Schedule[],
  ran: Readonly<Record<string, number>>,
  now: number,
): Schedule[] {
  return schedules.map((schedule) => {
    if (schedule.stopAfter === undefined) return schedule;
    const end = expectedEnd(schedule, schedule.stopAfter - (ran[scheduleKey(schedule)] ?? 0), now);
    return end === undefined ? schedule : { ...schedule, endTime: iso(end) };
  });
}

/** The last of the `left` slots after `now`; undefined where the schedule ends before, or far. */
function expectedEnd(schedule: Schedule, left: number, now: number): number | undefined {
  const table = timetable("", [{ ...schedule, jitterSeconds: 0 }]);
  let after = now;
  let fires = 0;
  for (let slots = 0; slots < MOST_SLOTS; slots += 1) {
    const next = table.next(after)?.slot;
    if (next === undefined) return undefined;
    after = next;
    if (blackoutOf(schedule, next) === undefined) fires += 1;
    if (fires >= left) return next;
  }
  return undefined;
}
