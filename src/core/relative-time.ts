/**
 * How far a moment is from now, as the page and the command line say it. What stands there has
 * passed, or is still to come, in full: a time is cut to its last unit and never rounded up, so a
 * run that ended 1h 59m 59s ago did not end two hours ago.
 */
import { formatDuration } from "./duration.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "./time.ts";

/** `in 4m 2s`, `12s ago`; `now` within a second. Both are milliseconds since 1970. */
export function relativeText(at: number, now: number): string {
  const away = Math.abs(at - now);
  if (away < 1_000) return "now";
  const length = formatDuration(away - (away % lastUnitOf(away)));
  return at > now ? `in ${length}` : `${length} ago`;
}

/** `in 26s` of what is to come; `now` once its moment is there. */
export function comingText(at: number, now: number): string {
  return relativeText(Math.max(at, now), now);
}

/** The smallest unit that formatDuration writes of a length: tenths are left out. */
function lastUnitOf(length: number): number {
  if (length < HOUR_MS) return 1_000;
  return length < DAY_MS ? MINUTE_MS : HOUR_MS;
}
