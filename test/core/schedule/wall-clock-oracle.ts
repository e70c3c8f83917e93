/**
 * What wall clocks show, and when a pattern fires by them, computed the slow way: every minute is
 * looked at, one after the other. It shares nothing with src/core, not even how it asks for the
 * offset, so that the two cannot be wrong together.
 */

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/**
 * A moment at which a zone's wall clocks are set, and how far they are ahead of UTC before and
 * after it, in milliseconds.
 */
export interface Transition {
  readonly zone: string;
  /** The first instant of the new offset. */
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/**
 * Minutes, hours, and whether they were written with a `*`: only these fields matter when a clock
 * is set.
 */
export interface PlainPattern {
  readonly text: string;
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly fixed: boolean;
}

/** A zone's offset at an instant, read from Intl's name for it (`GMT-03:30`). */
function offsetOf(format: Intl.DateTimeFormat, instant: number): number {
  const match = /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(format.format(instant))!;
  const [, sign, hours = "0", minutes = "0", seconds = "0"] = match;
  const size = Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) * 1_000;
  return sign === "-" ? -size : size;
}

/** How far a zone's wall clocks are ahead of UTC at an instant, in milliseconds. */
export function offsetIn(zone: string, instant: number): number {
  return offsetOf(
    new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" }),
    instant,
  );
}

/**
 * Every moment in [from, to) at which a zone's clocks are set. It looks every twelve hours, then
 * halves.
 */
export function transitionsOf(zone: string, from: number, to: number): Transition[] {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" });
  const found: Transition[] = [];
  let offset = offsetOf(format, from);
  for (let at = from; at < to; at += DAY / 2) {
    const next = offsetOf(format, at + DAY / 2);
    if (next === offset) continue;
    let low = at / 1_000;
    let high = (at + DAY / 2) / 1_000;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetOf(format, middle * 1_000) === offset) low = middle;
      else high = middle;
    }
    found.push({ zone, at: high * 1_000, before: offset, after: next });
    offset = next;
  }
  return found;
}

/** The pattern `MINUTES HOURS * * *`. */
export function plainPattern(minutes: string, hours: string): PlainPattern {
  return {
    text: `${minutes} ${hours} * * *`,
    minutes: valuesOf(minutes, 60),
    hours: valuesOf(hours, 24),
    fixed: !minutes.includes("*") && !hours.includes("*"),
  };
}

function valuesOf(field: string, count: number): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(",")) {
    const [range, step = "1"] = part.split("/") as [string, string?];
    const [first, last = first] =
      range === "*" ? [0, count - 1] : (range.split("-").map(Number) as [number, number?]);
    for (let value = first; value <= last; value += Number(step)) values.add(value);
  }
  return values;
}

/**
 * When a pattern fires within a stretch around one transition, in order.
 *
 * A pattern with a `*` follows real time: it fires in each minute whose wall time it names. A
 * pattern without one follows the wall clock: it fires once a day at each wall time that it names.
 * If the wall time comes twice, it fires the first time. If it does not come, it fires at the first
 * instant after the gap.
 */
export function firesAround(
  pattern: PlainPattern,
  { at, before, after }: Transition,
  reach: number,
): number[] {
  const names = (wall: number): boolean =>
    pattern.hours.has(Math.floor((((wall % DAY) + DAY) % DAY) / HOUR)) &&
    pattern.minutes.has(Math.floor((((wall % HOUR) + HOUR) % HOUR) / MINUTE));
  const fires = new Set<number>();
  const seen = new Set<number>();
  for (let instant = at - reach; instant <= at + reach; instant += MINUTE) {
    const wall = instant + (instant < at ? before : after);
    if (names(wall) && !(pattern.fixed && seen.has(wall))) fires.add(instant);
    seen.add(wall);
  }
  if (pattern.fixed)
    for (let wall = at + before; wall < at + after; wall += MINUTE) if (names(wall)) fires.add(at);
  return [...fires].sort((a, b) => a - b);
}
