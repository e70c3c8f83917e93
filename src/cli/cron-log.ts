/**
 * What cron did, by its log, compared with the slots of pipelines that were imported in shadow.
 *
 * Pure. cron writes one `CMD` line for each start, a second or so after the minute; syslog and the
 * journal keep it.
 */

import { DAY_MS, MINUTE_MS, iso } from "../core/time.ts";

/** One start in the log. */
export interface CronStart {
  /** The minute it was for, milliseconds since 1970. */
  readonly minute: number;
  readonly command: string;
}

/** One pipeline's comparison. Times are ISO 8601. */
export interface CronComparison {
  readonly pipeline: string;
  readonly both: number;
  /** Minutes in which cron started the command and the pipeline had no slot. */
  readonly onlyCron: readonly string[];
  /** Slots of the pipeline in which cron did not start the command. */
  readonly onlyOrchd: readonly string[];
}

const ISO_LINE = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)\s/;
const SYSLOG_LINE = /^([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d)\s/;
const CMD = /\bCRON(?:D)?(?:\[\d+\])?: \([^)]*\) CMD \((.*)\)\s*$/i;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * The starts in a log; other lines are skipped.
 *
 * @param now milliseconds since 1970. Syslog writes no year: a line is of the past year
 */
export function parseCronLog(text: string, now: number): CronStart[] {
  return text.split("\n").flatMap((line) => {
    const command = CMD.exec(line)?.[1];
    const time = command === undefined ? undefined : timeOf(line, now);
    return command === undefined || time === undefined
      ? []
      : [{ minute: minuteOf(time), command: plain(command) }];
  });
}

function timeOf(line: string, now: number): number | undefined {
  const isoText = ISO_LINE.exec(line)?.[1];
  if (isoText !== undefined) {
    const time = Date.parse(isoText.replace(" ", "T"));
    return Number.isNaN(time) ? undefined : time;
  }
  const match = SYSLOG_LINE.exec(line);
  if (match === null) return undefined;
  const month = MONTHS.indexOf(match[1]!);
  if (month < 0) return undefined;
  const [day, hour, minute, second] = match.slice(2, 6).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const year = new Date(now).getFullYear();
  // Syslog's times are local.
  const time = new Date(year, month, day, hour, minute, second).getTime();
  return time > now + DAY_MS
    ? new Date(year - 1, month, day, hour, minute, second).getTime()
    : time;
}

/** A command in the form that is compared: cron's log keeps its blanks. */
export function plain(command: string): string {
  return command.trim().replaceAll(/\s+/g, " ");
}

/** What a pipeline's slots are compared with. */
export interface CronSide {
  /** The command as the crontab has it. */
  readonly command: string;
  readonly starts: readonly CronStart[];
  /**
   * Slots of other pipelines with the same command, milliseconds since 1970: the log does not tell
   * their starts from those of this one.
   */
  readonly others?: readonly number[];
}

/**
 * Compares one command's starts with one pipeline's slots, over the time that both cover.
 *
 * @param slots those that fired, milliseconds since 1970
 * @param through orchd has decided all slots up to this moment: a slot that cron started before it,
 *   and after the last slot that fired, was missed or skipped
 */
export function compareWithCron(
  pipeline: string,
  { command, starts, others = [] }: CronSide,
  slots: readonly number[],
  through = Number.NEGATIVE_INFINITY,
): CronComparison {
  const own = plain(command);
  const all = boundsOf(starts.map(({ minute }) => minute));
  const minutes = slots.map(minuteOf);
  const decided = boundsOf(minutes);
  const from = Math.max(all.first, decided.first);
  const to = Math.min(all.last, Math.max(through, decided.last));
  const isWithin = (minute: number): boolean => minute >= from && minute <= to;
  const cron = new Set<number>();
  for (const start of starts)
    if (isWithin(start.minute) && start.command === own) cron.add(start.minute);
  const orchd = new Set(minutes.filter(isWithin));
  const elsewhere = new Set(others.map(minuteOf));
  const sorted = (times: readonly number[]): string[] => times.toSorted((a, b) => a - b).map(iso);
  return {
    pipeline,
    both: [...cron].filter((minute) => orchd.has(minute)).length,
    onlyCron: sorted([...cron].filter((minute) => !orchd.has(minute) && !elsewhere.has(minute))),
    onlyOrchd: sorted([...orchd].filter((minute) => !cron.has(minute))),
  };
}

function minuteOf(time: number): number {
  return Math.floor(time / MINUTE_MS) * MINUTE_MS;
}

/** The first and the last of times. A log may have more of them than a call takes arguments. */
function boundsOf(times: readonly number[]): { readonly first: number; readonly last: number } {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const time of times) {
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  return { first, last };
}
