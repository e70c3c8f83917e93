/**
 * When a pattern fires next, for `orchd status`, which has a few milliseconds.
 *
 * The calculator itself is exact everywhere and slow to start: 2 ms, and 20 ms more for the first
 * zone other than UTC, which is what Intl takes. Most questions are simpler: a plain pattern
 * (core/schedule/plain-cron.ts), and no change of the zone's offset anywhere near. Then local time
 * is UTC plus a constant, and `Date` under that TZ says the constant in 1 ms. Every other question
 * goes to the calculator.
 */
import { cronCalculator } from "../core/schedule/cron-calculator.ts";
import { plainCron } from "../core/schedule/plain-cron.ts";
import type { CronSource } from "../core/schedule/schedule.ts";
import { DAY_MS, MINUTE_MS } from "../core/time.ts";

/**
 * How far around the question there must be no change of offset, in milliseconds: what a change
 * does to fixed times reaches a day at most.
 */
const MARGIN_MS = 90_000_000;
/** The step between two looks at the offset: no zone changes twice within it. */
const LOOK_MS = 43_200_000;
/** A slot further away than this needs more looks than the calculator costs, in milliseconds. */
const FAR_MS = 40 * DAY_MS;

/** Gives {@link cronCalculator}'s answers, faster where that is possible. */
export const quickCalculator: CronSource = (pattern, timezone) => {
  const plain = plainCron(pattern);
  if (plain === undefined) return cronCalculator(pattern, timezone);
  if (timezone === "UTC") return { next: plain };
  // Node's `Date` shows summer time all year under TZ=Eire, and no other name is wrong.
  if (timezone === "Eire") return cronCalculator(pattern, timezone);
  return {
    next: (instant) =>
      inZone(plain, instant, timezone) ?? cronCalculator(pattern, timezone).next(instant),
  };
};

/**
 * The next slot, if no change of offset is anywhere near; undefined where the calculator has to
 * answer.
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
