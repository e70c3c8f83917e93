/**
 * How orchd reads a cron pattern: one dialect for schedules, blackouts and imported crontabs.
 *
 * croner reads the text. Three rules are orchd's own, and both calculators take them from here
 * (semantics.md 1a):
 *
 * - The day fields join as in cron. A field that begins with `*` or `?` counts as a star, also with
 *   a step: then both fields must match. If neither does, a day matches by either. A `+` before the
 *   weekdays asks for both.
 * - `N/step` runs from N to the end of its field: `5/20` is `5-59/20`. croner knows only the second
 *   form, so it gets that one. The week ends with Saturday.
 * - `?` is `*`.
 */

/** One field of a pattern. */
export interface CronField {
  readonly least: number;
  /**
   * The last value that `N/step` reaches. Of weekdays it is Saturday, although 7 is a Sunday too.
   */
  readonly most: number;
  /** The names of the values, in lower case. The first one is `least`. */
  readonly names: readonly string[];
  /** What the field may hold, for the end of a sentence. */
  readonly range: string;
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** The six fields: seconds, minutes, hours, days of the month, months, days of the week. */
export const CRON_FIELDS: readonly CronField[] = [
  { least: 0, most: 59, names: [], range: "seconds are 0-59" },
  { least: 0, most: 59, names: [], range: "minutes are 0-59" },
  { least: 0, most: 23, names: [], range: "hours are 0-23" },
  { least: 1, most: 31, names: [], range: "days of the month are 1-31, L or 15W" },
  { least: 1, most: 12, names: MONTHS, range: "months are 1-12 or JAN-DEC" },
  {
    least: 0,
    most: 6,
    names: WEEKDAYS,
    range: "days of the week are 0-7 or SUN-SAT, 0 and 7 both Sunday",
  },
];

const DAY_OF_MONTH = 3;
const DAY_OF_WEEK = 5;

/** The six fields of a pattern with five or six, as written. Without seconds these are `0`. */
export function cronFields(pattern: string): string[] {
  const fields = pattern.trim().split(/[ \t]+/);
  return fields.length === 5 ? ["0", ...fields] : fields;
}

/** Whether a day field counts as a star: it begins with one. */
export function isStarred(field: string): boolean {
  return field.startsWith("*") || field.startsWith("?");
}

/** How the day fields of a pattern join. `fields` are {@link cronFields}. */
export function daysJoin(fields: readonly string[]): "both" | "either" {
  const month = fields[DAY_OF_MONTH] ?? "";
  const week = fields[DAY_OF_WEEK] ?? "";
  return isStarred(month) || isStarred(week) || week.startsWith("+") ? "both" : "either";
}

/**
 * The first value of `N/step`, if that is what this part of a field is. Undefined for every other
 * text. The number may lie outside the field.
 */
export function steppedFrom(part: string, field: CronField): number | undefined {
  const start = /^(?:(\d{1,9})|([A-Za-z]{3}))\/\d+$/.exec(part);
  if (start === null) return undefined;
  if (start[1] !== undefined) return Number(start[1]);
  const index = field.names.indexOf(start[2]!.toLowerCase());
  return index < 0 ? undefined : field.least + index;
}

/** The text that croner is given: each `N/step` of its field is a range with a step. */
export function cronerText(pattern: string): string {
  if (!pattern.includes("/")) return pattern;
  const fields = cronFields(pattern).map((text, index) => {
    const field = CRON_FIELDS[index];
    if (field === undefined || !text.includes("/")) return text;
    const plus = index === DAY_OF_WEEK && text.startsWith("+") ? "+" : "";
    const parts = text.slice(plus.length).split(",");
    return plus + parts.map((part) => withRange(part, field)).join(",");
  });
  return fields.join(" ");
}

function withRange(part: string, field: CronField): string {
  const from = steppedFrom(part, field);
  if (from === undefined || from < field.least || from > field.most) return part;
  return `${from}-${field.most}${part.slice(part.indexOf("/"))}`;
}
