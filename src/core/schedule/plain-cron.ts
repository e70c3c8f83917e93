/**
 * The next instant of a plain cron pattern on a clock that never changes, computed from the
 * pattern's fields.
 *
 * A plain pattern has five or six fields of numbers, `*`, ranges, lists and steps.
 * cron-calculator.ts reads everything else (names, L, W, #, +). Where this file answers, both
 * agree. It is for callers that ask once and cannot wait until the calculator is loaded.
 */

import { DAY_MS } from "../time.ts";
import { CRON_FIELDS, cronFields, daysJoin, type CronField } from "./cron-reading.ts";

/**
 * A plain pattern that ever fires does so within forty years. The longest wait is for a 29th of
 * February that is a given day of the week, over the year 2100.
 */
const MOST_DAYS = 40 * 366 + 1;

/**
 * Returns the first instant after another, both in milliseconds, on a clock in UTC. Undefined if
 * there is none.
 */
export type PlainCron = (after: number) => number | undefined;

/** Reads a pattern. Undefined if it is not plain. */
export function plainCron(pattern: string): PlainCron | undefined {
  if (!/^[0-9*,/ -]+$/.test(pattern)) return undefined;
  const texts = cronFields(pattern);
  if (texts.length !== 6) return undefined;
  const both = daysJoin(texts) === "both";
  const fields = texts.map((text, index) => readField(text, CRON_FIELDS[index]!));
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
      if (!months[date.getUTCMonth() + 1]) continue;
      const ofMonth = days[date.getUTCDate()]!;
      const ofWeek = weekdays[date.getUTCDay()]!;
      if (both ? !ofMonth || !ofWeek : !ofMonth && !ofWeek) continue;
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
function readField(text: string, { least, most, names }: CronField): boolean[] | undefined {
  // The 7 is a Sunday too.
  const last = names[0] === "sun" ? 7 : most;
  const named: boolean[] = Array.from({ length: last + 1 }, () => false);
  for (const part of text.split(",")) {
    const match = /^(?:(\*)|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part);
    if (match === null) return undefined;
    const [, all, low, high, step] = match;
    const from = all === undefined ? Number(low) : least;
    const whole = all !== undefined || (high === undefined && step !== undefined);
    const to = whole ? most : Number(high ?? low);
    const by = step === undefined ? 1 : Number(step);
    if (from < least || to > last || from > to || by === 0) return undefined;
    for (let value = from; value <= to; value += by) named[value] = true;
  }
  return named;
}
