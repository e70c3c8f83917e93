/**
 * What the wall clocks of a time zone show. zone-name.ts says which zones there are.
 *
 * Everything goes through `Intl`, so it agrees with the time-zone data of Node. A local time that
 * does not exist (the clock was set forward over it) means the first instant after the gap. A local
 * time that exists twice means the first one (docs/failure-model.md 17).
 */
import { DAY_MS } from "../time.ts";

/** A moment as a wall clock shows it. Month and day count from 1. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/**
 * A moment at which a zone's wall clocks are set forward. Local times in [fromLocal, toLocal) do
 * not exist on that day.
 */
export interface Gap {
  /** The instant, in milliseconds since 1970. */
  readonly at: number;
  /** The first local time that does not exist, counted in milliseconds as if it were UTC. */
  readonly fromLocal: number;
  /** The first local time that exists again, counted in milliseconds as if it were UTC. */
  readonly toLocal: number;
}

/** A formatter takes 50 kB, and a project uses few zones. */
const FORMATTERS_KEPT = 64;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** How far the zone's wall clocks are ahead of UTC at an instant, in milliseconds. */
export function offsetAt(instant: number, zone: string): number {
  if (zone === "UTC") return 0;
  const whole = Math.floor(instant / 1_000) * 1_000;
  const parts: Record<string, number> = {};
  let before = false;
  for (const part of formatterOf(zone).formatToParts(whole)) {
    if (part.type === "era") before = part.value !== "AD";
    else if (part.type !== "literal") parts[part.type] = Number(part.value);
  }
  const year = before ? 1 - parts["year"]! : parts["year"]!;
  return (
    wallMs({
      year,
      month: parts["month"]!,
      day: parts["day"]!,
      hour: parts["hour"]! % 24,
      minute: parts["minute"]!,
      second: parts["second"]!,
    }) - whole
  );
}

/** A wall time's milliseconds, counted as if it were UTC. */
export function wallMs(wall: WallTime): number {
  const date = new Date(0);
  date.setUTCFullYear(wall.year, wall.month - 1, wall.day);
  date.setUTCHours(wall.hour, wall.minute, wall.second, 0);
  return date.getTime();
}

/**
 * The instant at which a zone's wall clocks show a local time.
 *
 * @param local the wall time, counted in milliseconds as if it were UTC
 * @returns the instant in milliseconds. The note says that the local time lies in a gap (the
 *   instant is then the first one after it) or exists twice (the instant is then the first)
 */
export function instantOf(
  local: number,
  zone: string,
): { readonly instant: number; readonly note?: "gap" | "overlap" } {
  const dayBefore = offsetAt(local - DAY_MS, zone);
  const dayAfter = offsetAt(local + DAY_MS, zone);
  if (dayBefore === dayAfter && offsetAt(local - dayBefore, zone) === dayBefore)
    return { instant: local - dayBefore };
  const fits = [local - dayBefore, local - dayAfter].filter(
    (instant) => instant + offsetAt(instant, zone) === local,
  );
  const first = Math.min(...fits);
  if (fits.length > 0)
    return fits.length === 2 && fits[0] !== fits[1]
      ? { instant: first, note: "overlap" }
      : { instant: first };
  const gap = gapsBetween(local - 2 * DAY_MS, local + 2 * DAY_MS, zone).find(
    (one) => one.fromLocal <= local && local < one.toLocal,
  );
  return { instant: gap?.at ?? local - dayAfter, note: "gap" };
}

/**
 * The zone's gaps with instants in (from, to], in order. The search goes in steps of a day, so it
 * does not see two changes within one day.
 */
export function gapsBetween(from: number, to: number, zone: string): Gap[] {
  if (zone === "UTC") return [];
  const gaps: Gap[] = [];
  let at = from;
  let offset = offsetAt(at, zone);
  while (at < to) {
    const next = Math.min(to, at + DAY_MS);
    const then = offsetAt(next, zone);
    if (then > offset) {
      const instant = firstWithOffset(at, next, then, zone);
      gaps.push({ at: instant, fromLocal: instant + offset, toLocal: instant + then });
    }
    at = next;
    offset = then;
  }
  return gaps;
}

const YEARS_KEPT = 256;
const years = new Map<string, readonly Gap[]>();

/**
 * The zone's gaps in a year of UTC, in order. They are remembered, since a thousand pipelines share
 * a few zones.
 */
export function gapsOfYear(year: number, zone: string): readonly Gap[] {
  const key = `${year} ${zone}`;
  let known = years.get(key);
  if (known === undefined) {
    known = gapsBetween(Date.UTC(year, 0, 1) - 1_000, Date.UTC(year + 1, 0, 1) - 1_000, zone);
    if (years.size >= YEARS_KEPT) years.delete(years.keys().next().value!);
    years.set(key, known);
  }
  return known;
}

function firstWithOffset(from: number, to: number, offset: number, zone: string): number {
  let low = Math.floor(from / 1_000);
  let high = Math.ceil(to / 1_000);
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1_000, zone) === offset) high = middle;
    else low = middle;
  }
  return high * 1_000;
}

/** A formatter of a zone's wall time. @throws RangeError if this Node has no such zone */
export function formatterOf(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      era: "short",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    if (formatters.size >= FORMATTERS_KEPT) formatters.delete(formatters.keys().next().value!);
    formatters.set(zone, formatter);
  }
  return formatter;
}
