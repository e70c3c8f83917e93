/** Lengths of time in milliseconds, and how a moment is written as text. */

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/**
 * The two moments that were asked for last, and their texts. A thousand slots that are due in one
 * second have a slot and a moment of their decision, and each is asked for several times.
 */
let last = Number.NaN;
let lastText = "";
let other = Number.NaN;
let otherText = "";

/** A moment, in milliseconds since 1970, as ISO text in UTC: `2026-11-23T02:15:00.000Z`. */
export function iso(milliseconds: number): string {
  if (milliseconds === last) return lastText;
  const text = milliseconds === other ? otherText : new Date(milliseconds).toISOString();
  other = last;
  otherText = lastText;
  last = milliseconds;
  lastText = text;
  return text;
}
