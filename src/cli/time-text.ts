/** Times as people type them, and lengths of time as they read them. */
import { formatDuration, parseDuration } from "../core/duration.ts";
import { DAY_MS, iso } from "../core/time.ts";
import { usageError } from "./exit.ts";

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const DATE_TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?$/i;
const STAMP = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.(\d{3}))?Z$/;
const AGO = /^-?(.+?)(?:\s+ago)?$/;

/**
 * Reads a time: ISO 8601 (without an offset: UTC), a date, the stamp of a run's id, `now`, `today`,
 * `yesterday`, or how long ago (`2h`, `90m ago`).
 *
 * @param what the option's name, for the error
 * @returns milliseconds since 1970
 * @throws CliError where the text is no time
 */
export function parseTime(text: string, what: string, now: number): number {
  const trimmed = text.trim();
  if (trimmed === "now") return now;
  const day = Math.floor(now / DAY_MS) * DAY_MS;
  if (trimmed === "today") return day;
  if (trimmed === "yesterday") return day - DAY_MS;
  const exact = exactTime(trimmed);
  if (exact !== undefined) return exact;
  const ago = AGO.exec(trimmed);
  const duration = ago === null ? undefined : parseDuration(ago[1]!);
  // A bare number could be a year, a day or seconds, so it is no time.
  if (duration !== undefined && !/^-?[\d.]+$/.test(trimmed)) return now - duration;
  throw usageError(
    `${what}: ${JSON.stringify(text)} is no time; write it like 2026-11-23T02:00:00Z, ` +
      "2026-11-23, today, or 2h for two hours ago.",
  );
}

function exactTime(text: string): number | undefined {
  const stamp = STAMP.exec(text);
  if (stamp !== null) {
    const [, year, month, day, hour, minute, second, milliseconds] = stamp;
    return valid(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milliseconds ?? "000"}Z`);
  }
  if (DATE.test(text)) return valid(`${text}T00:00:00Z`);
  const match = DATE_TIME.exec(text);
  if (match === null) return undefined;
  return valid(`${match[1]}T${match[2]}${match[3] ?? ":00"}${(match[4] ?? "Z").toUpperCase()}`);
}

/**
 * Undefined for a day that does not exist: Date.parse takes the 31st of June for the 1st of July.
 */
function valid(text: string): number | undefined {
  const time = Date.parse(text);
  if (Number.isNaN(time)) return undefined;
  const day = Date.parse(`${text.slice(0, 10)}T00:00:00Z`);
  return iso(day).startsWith(text.slice(0, 10)) ? time : undefined;
}

/** `in 4m`, `12s ago`, `now`. */
export function relativeText(time: number, now: number): string {
  const away = Math.abs(time - now);
  if (away < 1_000) return "now";
  const whole = formatDuration(Math.floor(away / 1_000) * 1_000);
  return time > now ? `in ${whole}` : `${whole} ago`;
}

/** How long it is from one time to another; `-` where either is missing. */
export function betweenText(
  from: string | null | undefined,
  to: string | number | null | undefined,
): string {
  if (from === null || from === undefined || to === null || to === undefined) return "-";
  const end = typeof to === "number" ? to : Date.parse(to);
  return formatDuration(Math.max(0, end - Date.parse(from)));
}
