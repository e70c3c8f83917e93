/** Times as people type them, on the command line and in a page's address. */
import { parseDuration } from "./duration.ts";
import { DAY_MS, iso } from "./time.ts";

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const DATE_TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?$/i;
const STAMP = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.(\d{3}))?Z$/;
const AGO = /^-?(.+?)(?:\s+ago)?$/;

/**
 * Reads a time: ISO 8601 (without an offset: UTC), a date, the stamp of a run's id, `now`, `today`,
 * `yesterday`, or how long ago (`2h`, `90m ago`).
 *
 * @param now milliseconds since 1970
 * @returns milliseconds since 1970; undefined where the text is no time
 */
export function readGivenTime(text: string, now: number): number | undefined {
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
  return duration === undefined || /^-?[\d.]+$/.test(trimmed) ? undefined : now - duration;
}

/** That a text is no time. @param what the option's or the parameter's name */
export function noTimeText(what: string, text: string): string {
  return (
    `${what}: ${JSON.stringify(text)} is no time; write it like 2026-11-23T02:00:00Z, ` +
    "2026-11-23, today, or 2h for two hours ago."
  );
}

/**
 * Whether a time means its whole minute: without seconds, people say "02:00" of a slot at 02:00:30
 * too.
 */
export function namesMinute(text: string): boolean {
  return /T?\d\d:\d\d(Z|[+-]\d\d:?\d\d)?$/i.test(text.trim()) && !/\d\d:\d\d:\d\d/.test(text);
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
