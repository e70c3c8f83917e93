import { DAY_MS, HOUR_MS, MINUTE_MS } from "./time.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
};
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/gy;

/** The longest accepted duration: a hundred years, in milliseconds. Nobody means a longer one. */
export const MAX_DURATION_MS = 100 * 365 * UNITS["d"]!;

/**
 * Reads a duration such as `5s`, `1h30m`, `500ms` or `7d`. A bare number counts seconds, as in a
 * systemd unit.
 *
 * @returns whole milliseconds; undefined if the text is not a duration
 */
export function parseDuration(text: string | number): number | undefined {
  if (typeof text === "number") return bounded(text * 1_000);
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return bounded(Number(trimmed) * 1_000);
  let total = 0;
  let end = 0;
  PART.lastIndex = 0;
  for (let part = PART.exec(trimmed); part !== null; part = PART.exec(trimmed)) {
    total += Number(part[1]) * UNITS[part[2]!]!;
    end = PART.lastIndex;
  }
  return end === trimmed.length && end > 0 ? bounded(total) : undefined;
}

/**
 * The milliseconds of a duration that its schema has checked. Undefined stays undefined.
 *
 * @throws TypeError if the text is not a duration
 */
export function checkedDuration(written: string | number): number;
export function checkedDuration(written: string | number | undefined): number | undefined;
export function checkedDuration(written: string | number | undefined): number | undefined {
  if (written === undefined) return undefined;
  const milliseconds = parseDuration(written);
  if (milliseconds === undefined)
    throw new TypeError(`${JSON.stringify(written)} is not a duration`);
  return milliseconds;
}

function bounded(milliseconds: number): number | undefined {
  return Number.isFinite(milliseconds) && milliseconds >= 0 && milliseconds <= MAX_DURATION_MS
    ? Math.round(milliseconds)
    : undefined;
}

/** Writes milliseconds as a person says them: `0s`, `350ms`, `4.2s`, `3m 20s`, `2h 5m`, `4d 6h`. */
export function formatDuration(milliseconds: number): string {
  // Rounded first: what rounds up to a second or a minute is written as one.
  const whole = Math.round(milliseconds);
  if (whole < 1_000) return whole === 0 ? "0s" : `${whole}ms`;
  const tenths = Math.round(milliseconds / 100);
  if (tenths < 600) return `${trimZero((tenths / 10).toFixed(1))}s`;
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 3_600) return pair(seconds, 60, "m", "s");
  if (seconds < 86_400) return pair(Math.round(seconds / 60), 60, "h", "m");
  return pair(Math.round(seconds / 3_600), 24, "d", "h");
}

function pair(small: number, per: number, big: string, rest: string): string {
  const left = small % per;
  return left === 0
    ? `${Math.floor(small / per)}${big}`
    : `${Math.floor(small / per)}${big} ${left}${rest}`;
}

function trimZero(text: string): string {
  return text.endsWith(".0") ? text.slice(0, -2) : text;
}
