/**
 * What cron does with a line's five fields, read from the rules of crontab(5) and cron(8), one
 * minute after the other. It shares nothing with src.
 *
 * A field that begins with a star marks the line: such minutes or hours make it a wildcard line,
 * which follows the clock as it goes; such days ask for both day fields. Every other line has fixed
 * times. Where the clock is set forward, those of the minutes that are left out run at once. Where
 * it is set back, they do not run again.
 */

const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;

const NAMES: Readonly<Record<string, number>> = Object.fromEntries([
  ...["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].map(
    (name, index) => [name, index + 1] as const,
  ),
  ...["sun", "mon", "tue", "wed", "thu", "fri", "sat"].map((name, index) => [name, index] as const),
]);

interface Field {
  readonly values: ReadonlySet<number>;
  readonly star: boolean;
}

function field(text: string, least: number, most: number): Field {
  const values = new Set<number>();
  const number = (word: string): number => NAMES[word.toLowerCase()] ?? Number(word);
  for (const part of text.split(",")) {
    const [range, step] = part.split("/") as [string, string?];
    const [low, high] = range.split("-") as [string, string?];
    const from = low === "*" ? least : number(low);
    const to = low === "*" ? most : high === undefined ? from : number(high);
    for (let value = from; value <= to; value += Number(step ?? 1)) values.add(value);
  }
  return { values, star: text.startsWith("*") };
}

/** Minutes of UTC and how far the clock is ahead, for one zone and stretch. */
export function offsetsOf(zone: string, from: number, to: number): (instant: number) => number {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" });
  const offsets: number[] = [];
  for (let at = from; at < to; at += QUARTER) {
    const match = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(format.format(at))!;
    const size = (Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0)) * MINUTE;
    offsets.push(match[1] === "-" ? -size : size);
  }
  return (instant) => offsets[Math.floor((instant - from) / QUARTER)]!;
}

/** The minutes in [from, to) in which cron starts a line, in milliseconds since 1970. */
export function cronStarts(
  line: string,
  offsetAt: (instant: number) => number,
  from: number,
  to: number,
): number[] {
  const [minuteText, hourText, dayText, monthText, weekText] = line.split(/\s+/) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const minute = field(minuteText, 0, 59);
  const hour = field(hourText, 0, 23);
  const day = field(dayText, 1, 31);
  const month = field(monthText, 1, 12);
  const week = field(weekText, 0, 7);
  const names = (wall: number): boolean => {
    if (!minute.values.has((wall / MINUTE) % 60)) return false;
    const clock = new Date(wall);
    if (!hour.values.has(clock.getUTCHours())) return false;
    if (!month.values.has(clock.getUTCMonth() + 1)) return false;
    const weekday = clock.getUTCDay();
    const ofWeek = week.values.has(weekday) || (weekday === 0 && week.values.has(7));
    const ofMonth = day.values.has(clock.getUTCDate());
    return day.star || week.star ? ofWeek && ofMonth : ofWeek || ofMonth;
  };
  const wild = minute.star || hour.star;
  const starts: number[] = [];
  /** The wall time up to which fixed times have had their turn. */
  let virtual = from + offsetAt(from) - MINUTE;
  for (let instant = from; instant < to; instant += MINUTE) {
    const wall = instant + offsetAt(instant);
    let starting = wild && names(wall);
    for (; virtual < wall; virtual += MINUTE) if (!wild && names(virtual + MINUTE)) starting = true;
    if (starting) starts.push(instant);
  }
  return starts;
}
