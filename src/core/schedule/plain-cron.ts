/**
 * The next instant of a plain cron pattern on a clock that never changes, computed from the
 * pattern's fields.
 *
 * A plain pattern has five or six fields of numbers, `*`, ranges, lists and steps, and restricts
 * the day of month or the day of week, not both. cron-calculator.ts reads everything else (names,
 * L, W, #, both kinds of day). Where this file answers, both agree. It is for callers that ask once
 * and cannot wait until the calculator is loaded.
 */

import { DAY_MS } from "../time.ts";

/**
 * What each field may hold: seconds, minutes, hours, days of the month, months, days of the week (7
 * is Sunday too).
 */
const BOUNDS: readonly (readonly [least: number, most: number])[] = [
  [0, 59],
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
];

/**
 * A plain pattern that ever fires does so within eight years. The longest wait is for the 29th of
 * February, over the year 2100.
 */
const MOST_DAYS = 8 * 366 + 1;

/**
 * Returns the first instant after another, both in milliseconds, on a clock in UTC. Undefined if
 * there is none.
 */
export type PlainCron = (after: number) => number | undefined;

/** Reads a pattern. Undefined if it is not plain. */
export function plainCron(pattern: string): PlainCron | undefined {
  if (!/^[0-9*,/ -]+$/.test(pattern)) return undefined;
  const texts = pattern.trim().split(/ +/);
  if (texts.length === 5) texts.unshift("0");
  if (texts.length !== 6 || (texts[3] !== "*" && texts[5] !== "*")) return undefined;
  const fields = texts.map((text, index) => readField(text, BOUNDS[index]!));
  if (fields.includes(undefined)) return undefined;
  const [seconds, minutes, hours, days, months, weekdays] = fields as boolean[][] as [
    boolean[],
    boolean[],
    boolean[],
    boolean[],
    boolean[],
    boolean[],
  ];
  if (weekdays[7]) weekdays[0] = true;
  return (after) => {
    const from = Math.floor(after / 1_000) * 1_000 + 1_000;
    let day = Math.floor(from / DAY_MS) * DAY_MS;
    for (let count = 0; count < MOST_DAYS; count += 1, day += DAY_MS) {
      const date = new Date(day);
      if (
        !months[date.getUTCMonth() + 1] ||
        !days[date.getUTCDate()] ||
        !weekdays[date.getUTCDay()]
      )
        continue;
      const second = withinDay(Math.max(0, from - day) / 1_000, seconds, minutes, hours);
      if (second !== undefined) return day + second * 1_000;
    }
    return undefined;
  };
}

/** The first matching second of a day, from a given second on. */
function withinDay(
  from: number,
  seconds: readonly boolean[],
  minutes: readonly boolean[],
  hours: readonly boolean[],
): number | undefined {
  for (let second = from; second < 86_400;) {
    if (!hours[Math.floor(second / 3_600)]) second = (Math.floor(second / 3_600) + 1) * 3_600;
    else if (!minutes[Math.floor(second / 60) % 60]) second = (Math.floor(second / 60) + 1) * 60;
    else if (!seconds[second % 60]) second += 1;
    else return second;
  }
  return undefined;
}

/** Which values a field names. Undefined if it is not plain. */
function readField(text: string, [least, most]: readonly [number, number]): boolean[] | undefined {
  const named: boolean[] = Array.from({ length: most + 1 }, () => false);
  for (const part of text.split(",")) {
    const match = /^(?:(\*)|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part);
    if (match === null) return undefined;
    const [, all, first, last, step] = match;
    // Some read `5/15` as "from 5 on", others as "only 5": the calculator decides.
    if (all === undefined && last === undefined && step !== undefined) return undefined;
    const from = all === undefined ? Number(first) : least;
    const to = all === undefined ? Number(last ?? first) : most === 7 ? 6 : most;
    const by = step === undefined ? 1 : Number(step);
    if (from < least || to > most || from > to || by === 0) return undefined;
    for (let value = from; value <= to; value += by) named[value] = true;
  }
  return named;
}
