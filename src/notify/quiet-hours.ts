/**
 * Quiet hours: it is quiet while the zone's wall clocks show a time from `from` to before `to`.
 *
 * That is all that counts, so daylight saving needs no rule of its own. Where clocks are set
 * forward over `to`, it ends at once; where they are set forward over all of it, there is none on
 * that day. Where they are set back behind `to`, it is quiet once more.
 */
import type { QuietHours } from "../core/notify-settings.ts";
import { offsetAt } from "../core/schedule/zone.ts";
import { DAY_MS, MINUTE_MS } from "../core/time.ts";

/**
 * The first moment from `now` on that is not quiet: `now` itself if that is not. Milliseconds since
 * 1970. The search does not see two changes of the zone's offset within one quiet time.
 */
export function quietUntil(now: number, { from, to, timezone }: QuietHours): number {
  let at = now;
  for (;;) {
    const offset = offsetAt(at, timezone);
    const clock = (((at + offset) % DAY_MS) + DAY_MS) % DAY_MS;
    if (!isWithin(clock, from * MINUTE_MS, to * MINUTE_MS)) return at;
    const left = (to * MINUTE_MS - clock + DAY_MS) % DAY_MS;
    const end = at + left;
    if (offsetAt(end, timezone) === offset) return end;
    at = changeBetween(at, end, offset, timezone);
  }
}

function isWithin(clock: number, from: number, to: number): boolean {
  return from < to ? from <= clock && clock < to : from <= clock || clock < to;
}

/**
 * The first whole second in (from, to] with another offset than `offset`, which holds at `from`.
 */
function changeBetween(from: number, to: number, offset: number, zone: string): number {
  let low = Math.floor(from / 1_000);
  let high = Math.ceil(to / 1_000);
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1_000, zone) === offset) low = middle;
    else high = middle;
  }
  return high * 1_000;
}
