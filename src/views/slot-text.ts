/** A slot as clocks in its schedule's zone show it, and what daylight saving does to it. */
import { cronCalculator } from "../core/schedule/cron-calculator.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { gapsBetween, instantOf, offsetAt } from "../core/schedule/zone.ts";
import { DAY_MS, MINUTE_MS, iso } from "../core/time.ts";

/**
 * Local time with the offset that holds then: `2026-10-25T02:30:00+02:00`.
 *
 * @param slot milliseconds since 1970
 */
export function localText(slot: number, timezone: string): string {
  const offset = offsetAt(slot, timezone);
  const local = iso(slot + offset).slice(0, 19);
  if (offset === 0) return timezone === "UTC" ? `${local}Z` : `${local}+00:00`;
  const minutes = Math.round(Math.abs(offset) / MINUTE_MS);
  return `${local}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/**
 * What daylight saving does to a slot, in a text that begins with `gap` or `overlap`; undefined
 * where it does nothing.
 */
export function daylightNote(slot: number, schedule: Schedule): string | undefined {
  const { cron, timezone } = schedule;
  if (cron === undefined || timezone === "UTC") return undefined;
  const local = slot + offsetAt(slot, timezone);
  const gap = gapsBetween(slot - DAY_MS, slot, timezone).find(({ at }) => at === slot);
  if (gap !== undefined && cronCalculator(cron, timezone).fixedTime) {
    // The pattern in UTC, which never changes, names the local time that does not exist here.
    const meant = cronCalculator(cron, "UTC").next(gap.fromLocal - 1_000);
    if (meant !== undefined && meant < gap.toLocal)
      return `gap: ${clock(meant)} does not exist on this day, so it runs at ${clock(local)}`;
  }
  const twice = instantOf(local, timezone);
  if (twice.note !== "overlap") return undefined;
  const which = twice.instant === slot ? "first" : "second";
  const comesTwice = `overlap: ${clock(local)} comes twice on this day`;
  return cronCalculator(cron, timezone).fixedTime
    ? `${comesTwice}, and it runs the ${which} time only`
    : `${comesTwice}; this is the ${which}`;
}

function clock(local: number): string {
  const text = iso(local).slice(11, 19);
  return text.endsWith(":00") ? text.slice(0, 5) : text;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
