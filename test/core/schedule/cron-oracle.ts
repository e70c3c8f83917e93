/**
 * Whether a minute is one of a pattern's, read the slow way from the rules of crontab(5): a field
 * is a list of stars, numbers and ranges with steps; a number with a step runs to the end of its
 * field. It shares nothing with src/core.
 */
import fc from "fast-check";

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

interface Field {
  readonly least: number;
  readonly most: number;
  readonly names?: readonly string[];
  /** The value of the first name. */
  readonly first?: number;
}

const MINUTE: Field = { least: 0, most: 59 };
const HOUR: Field = { least: 0, most: 23 };
const DAY: Field = { least: 1, most: 31 };
const MONTH: Field = { least: 1, most: 12, names: MONTHS, first: 1 };
const WEEKDAY: Field = { least: 0, most: 6, names: WEEKDAYS, first: 0 };

/** Whether a field names a value. */
function names(text: string, value: number, field: Field): boolean {
  const number = (word: string): number => {
    const index = field.names?.indexOf(word.toLowerCase()) ?? -1;
    return index < 0 ? Number(word) : index + field.first!;
  };
  return text.split(",").some((part) => {
    const [range, step] = part.split("/") as [string, string?];
    let from = field.least;
    let to = field.most;
    if (range !== "*" && range !== "?") {
      const [low, high] = range.split("-") as [string, string?];
      from = number(low);
      to = high !== undefined ? number(high) : step === undefined ? from : field.most;
    }
    for (let one = from; one <= to; one += Number(step ?? "1"))
      if (one === value || (field === WEEKDAY && one === 7 && value === 0)) return true;
    return false;
  });
}

/** Whether a pattern of five fields names the day of a wall time, in milliseconds as if in UTC. */
export function matchesDay(pattern: string, wall: number): boolean {
  const [, , day, month, weekday] = fieldsOf(pattern);
  const date = new Date(wall);
  const ofMonth = names(day, date.getUTCDate(), DAY);
  const ofWeek = names(weekday, date.getUTCDay(), WEEKDAY);
  const star = /^[*?]/;
  return (
    names(month, date.getUTCMonth() + 1, MONTH) &&
    (star.test(day) || star.test(weekday) ? ofMonth && ofWeek : ofMonth || ofWeek)
  );
}

/** Whether a pattern of five fields names a wall time, in milliseconds as if in UTC. */
export function matches(pattern: string, wall: number): boolean {
  const [minute, hour] = fieldsOf(pattern);
  const date = new Date(wall);
  return (
    wall % 60_000 === 0 &&
    names(minute, date.getUTCMinutes(), MINUTE) &&
    names(hour, date.getUTCHours(), HOUR) &&
    matchesDay(pattern, wall)
  );
}

function fieldsOf(pattern: string): [string, string, string, string, string] {
  return pattern.split(" ") as [string, string, string, string, string];
}

function fieldText({ least, most, names: words, first }: Field): fc.Arbitrary<string> {
  const number = fc.integer({ min: least, max: most });
  const one = number.chain((value) =>
    words === undefined
      ? fc.constant(String(value))
      : fc.constantFrom(String(value), words[value - first!]!),
  );
  const range = fc.tuple(number, number).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const step = fc.integer({ min: 1, max: Math.min(20, most - least + 1) });
  const star = fc.constantFrom("*", "*", "*", "?");
  const part = fc.oneof(
    one,
    range,
    star,
    fc.tuple(fc.oneof(star, range, one), step).map(([of, by]) => `${of}/${by}`),
  );
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: part },
    { weight: 2, arbitrary: fc.array(part, { minLength: 2, maxLength: 3 }).map(String) },
  );
}

/** Patterns of five fields in every form that cron knows, with `N/step` and `?`. */
export const anyPattern: fc.Arbitrary<string> = fc
  .tuple(...[MINUTE, HOUR, DAY, MONTH, WEEKDAY].map(fieldText))
  .map((fields) => fields.join(" "));
