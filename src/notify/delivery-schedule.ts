/**
 * When a message is tried again, and when it is given up. Pure.
 *
 * The wait is 10 s after the first failure, and doubles to an hour. A message is given up at the
 * first try that fails 24 hours after it was due, so there is a try after any time in which the
 * program was down or the machine slept.
 */
import { DAY_MS, HOUR_MS } from "../core/time.ts";

/** The shortest and the longest wait, in milliseconds. */
const FIRST_WAIT_MS = 10_000;
const LONGEST_WAIT_MS = HOUR_MS;
/** How long a message is tried, in milliseconds from when it was due. */
const TRIED_MS = DAY_MS;

/** The wait after so many failures in a row, from 1; in milliseconds. */
export function waitAfter(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(30, Math.max(0, failures - 1)));
}

/** Whether a message that cannot be sent now is given up. Times: milliseconds since 1970. */
export function isGivenUp(dueAt: number, now: number): boolean {
  return now >= dueAt + TRIED_MS;
}

/**
 * How long to wait after a failure, in milliseconds: never beyond the message's last moment, at
 * which there is one more try.
 *
 * @param failures how many tries failed in a row
 * @param retryAfterMs what the receiver asked for
 */
export function nextWait(
  dueAt: number,
  now: number,
  failures: number,
  retryAfterMs: number | undefined,
): number {
  const wanted = Math.max(waitAfter(failures), retryAfterMs ?? 0);
  return Math.max(0, Math.min(wanted, dueAt + TRIED_MS - now));
}
