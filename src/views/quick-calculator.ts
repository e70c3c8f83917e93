/**
 * When a pattern fires next, for `orchd status`, which has a few milliseconds.
 *
 * The calculator itself is exact everywhere and slow to come up: 2 ms, and 20 more for the first
 * zone but UTC, which is what Intl takes. Most questions are simpler: a plain pattern
 * (core/plain-cron.ts), and no change of the zone's offset anywhere near. Then local time is UTC
 * shifted by a constant, and the shift is what `Date` says under that TZ, for 1 ms. Any other
 * question goes to the calculator.
 */
import { cronCalculator } from "../core/schedule/cron-calculator.ts";
import { plainCron } from "../core/schedule/plain-cron.ts";
import type { CronSource } from "../core/schedule/schedule.ts";
import { DAY_MS, MINUTE_MS } from "../core/time.ts";

/**
 * So far around the question no change may lie: what a change does to fixed times reaches a day at
 * most.
 */
const MARGIN_MS = 90_000_000;
/** Offsets are looked at so often; no zone changes twice within it. */
const LOOK_MS = 43_200_000;
/** A slot further away than this is not worth looking at every half day between. */
const FAR_MS = 40 * DAY_MS;

/** {@link cronCalculator}'s answers, where they can be had more quickly. */
export const quickCalculator: CronSource = (pattern, timezone) => {
  const plain = plainCron(pattern);
  if (plain === undefined) return cronCalculator(pattern, timezone);
  if (timezone === "UTC") return { next: plain };
  return {
    next: (instant) =>
      inZone(plain, instant, timezone) ?? cronCalculator(pattern, timezone).next(instant),
  };
};

/**
 * The next slot if no change of offset lies anywhere near; undefined where the calculator has to
 * say.
 */
function inZone(
  plain: (after: number) => number | undefined,
  instant: number,
  timezone: string,
): number | undefined {
  const before = process.env["TZ"];
  try {
    process.env["TZ"] = timezone;
    const offset = offsetAt(instant);
    const local = plain(instant + offset);
    if (local === undefined || local - offset - instant > FAR_MS) return undefined;
    for (let at = instant - MARGIN_MS; at < local - offset + MARGIN_MS; at += LOOK_MS)
      if (offsetAt(at) !== offset) return undefined;
    return offsetAt(local - offset + MARGIN_MS) === offset ? local - offset : undefined;
  } finally {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
  }
}

function offsetAt(instant: number): number {
  return -new Date(instant).getTimezoneOffset() * MINUTE_MS;
}
