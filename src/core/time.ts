/** Lengths of time in milliseconds, and how a moment is written as text. */

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** A moment, in milliseconds since 1970, as ISO text in UTC: `2026-11-23T02:15:00.000Z`. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
