/**
 * Checks whether a text is a cron pattern, and warns about what may surprise a person.
 * cron-calculator.ts says when it fires.
 *
 * A pattern has five or six fields; cron-reading.ts says how they are read. A pattern that matches
 * no date is refused.
 */
import { DAY_MS, iso } from "../time.ts";
import { cronCalculator, firstOfPattern } from "./cron-calculator.ts";
import { CRON_FIELDS, cronFields, daysJoin, isStarred, steppedFrom } from "./cron-reading.ts";
import { CRON_TOO_LONG, MAX_CRON_LENGTH } from "./schedule-schema.ts";
import { gapsOfYear, offsetAt, type Gap } from "./zone.ts";

const NICKNAMES: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** Which field croner's message is about: its word for the field, and the field's place. */
const CRONERS_WORDS: readonly (readonly [RegExp, number])[] = [
  [/second/, 0],
  [/minute/, 1],
  [/hour/, 2],
  [/dayOfWeek/, 5],
  [/month/, 4],
  [/day/, 3],
];

/** A pattern with single blanks and without a nickname; or why the text is not one. */
export type CronCheck =
  | { readonly ok: true; readonly pattern: string }
  | { readonly ok: false; readonly message: string };

/**
 * Checks a pattern: its length, its fields, and that it fires at all. The message is the rest of a
 * sentence about the text.
 */
export function checkCron(text: string): CronCheck {
  if (text.length > MAX_CRON_LENGTH) return refuse(CRON_TOO_LONG);
  const trimmed = text.trim();
  const shown = JSON.stringify(trimmed);
  if (trimmed === "") return refuse('is empty; a pattern has five fields, such as "30 2 * * *"');
  if (!/^[\x20-\x7e\t]+$/.test(trimmed))
    return refuse("holds a character that no cron pattern has");
  if (trimmed.startsWith("@")) return nickname(trimmed.toLowerCase(), shown);
  const fields = trimmed.split(/[ \t]+/);
  if (fields.length < 5 || fields.length > 6) return refuse(fieldCount(fields, shown));
  const pattern = fields.join(" ");
  const stepped = stepFault(pattern);
  if (stepped !== undefined) return refuse(`${shown} is no cron pattern: ${stepped}`);
  let first: number | undefined;
  try {
    first = firstOfPattern(pattern);
  } catch (thrown) {
    return refuse(`${shown} is no cron pattern: ${plainly((thrown as Error).message, fields)}`);
  }
  return first === undefined
    ? refuse(`${shown} never fires: no date matches it`)
    : { ok: true, pattern };
}

/** What is wrong with the start of an `N/step` of a pattern. */
function stepFault(pattern: string): string | undefined {
  for (const [index, text] of cronFields(pattern).entries()) {
    const field = CRON_FIELDS[index]!;
    for (const part of text.replace(/^\+/, "").split(",")) {
      const from = steppedFrom(part, field);
      if (from === undefined || (from >= field.least && from <= field.most)) continue;
      return field.names[0] === "sun" && from === 7
        ? `${part} begins with the last Sunday; write ${part.replace("7", "0")}, from the first one`
        : `${part} begins outside its field (${field.range})`;
    }
  }
  return undefined;
}

/**
 * What may surprise a person about a checked pattern, one sentence each.
 *
 * @param now milliseconds since 1970: warnings look ahead from here
 */
export function cronWarnings(pattern: string, timezone: string, now: number): string[] {
  const fields = cronFields(pattern);
  const shown = JSON.stringify(pattern);
  const warnings: string[] = [];
  if (isWild(fields[0]!)) {
    warnings.push(
      `${shown} has * in its first field, which of six fields is seconds: ` +
        "within each matching minute it fires every second",
    );
  }
  const days = dayWarning(pattern);
  if (days !== undefined) warnings.push(`${shown} ${days}`);
  const calculator = cronCalculator(pattern, timezone);
  const next = calculator.next(now);
  if (next === undefined) warnings.push(`${shown} does not fire any more`);
  else if (next - now > 366 * DAY_MS)
    warnings.push(`${shown} hardly ever fires: the next time is ${localDay(next, timezone)}`);
  if (calculator.fixedTime) warnings.push(...gapWarnings(pattern, timezone, now));
  return warnings;
}

/**
 * How the two day fields of a checked pattern join, as the rest of a sentence about it. Undefined
 * if one of them is not restricted: then nobody can expect the other way.
 */
export function dayWarning(pattern: string): string | undefined {
  const fields = cronFields(pattern);
  const [month, week] = [fields[3]!, fields[5]!];
  if (isWild(month) || isWild(week) || week.startsWith("+")) return undefined;
  const names = "names days of the month and of the week";
  if (daysJoin(fields) === "either")
    return (
      `${names}: it fires on days that match either; ` +
      `write +${week} as the last field for days that match both`
    );
  const stars = [month, week].filter(isStarred).join(" and ");
  const ranges = [month.replace(/^[*?]/, "1-31"), week.replace(/^[*?]/, "0-6")];
  const instead = [month, week].flatMap((one, index) => (isStarred(one) ? ranges[index]! : []));
  return (
    `${names}, and ${stars} counts as a star, as in cron: it fires on days that match both; ` +
    `write ${instead.join(" and ")} for days that match either`
  );
}

/** The day that clocks in the zone show at an instant: `2028-02-29`. */
function localDay(instant: number, timezone: string): string {
  return iso(instant + offsetAt(instant, timezone)).slice(0, 10);
}

function gapWarnings(pattern: string, timezone: string, now: number): string[] {
  const walls = cronCalculator(pattern, "UTC");
  for (const gap of gapsAhead(timezone, now)) {
    const hit = walls.next(gap.fromLocal - 1_000);
    if (hit !== undefined && hit < gap.toLocal) {
      const local = iso(hit);
      const instead = iso(gap.toLocal).slice(11, 16);
      return [
        `${JSON.stringify(pattern)} names a time that does not exist on ${local.slice(0, 10)}: ` +
          `clocks in ${timezone} pass over ${local.slice(11, 16)}, and it runs at ${instead}`,
      ];
    }
  }
  return [];
}

/** The gaps of the next twelve months. */
function gapsAhead(timezone: string, now: number): readonly Gap[] {
  if (timezone === "UTC") return [];
  const year = new Date(now).getUTCFullYear();
  return [...gapsOfYear(year, timezone), ...gapsOfYear(year + 1, timezone)].filter(
    ({ at }) => at > now && at <= now + 366 * DAY_MS,
  );
}

function nickname(text: string, shown: string): CronCheck {
  const pattern = NICKNAMES[text];
  if (pattern !== undefined) return { ok: true, pattern };
  if (text.startsWith("@every"))
    return refuse(`${shown} is no cron pattern: write intervalSeconds and startTime instead`);
  if (text === "@reboot")
    return refuse(`${shown} is not a time: orchd has no schedule for the start of the machine`);
  return refuse(`${shown} is not a nickname; known are ${Object.keys(NICKNAMES).join(", ")}`);
}

function fieldCount(fields: readonly string[], shown: string): string {
  if (fields.length === 1 && /^\d{4}-\d\d-\d\d/.test(fields[0]!))
    return `${shown} is a date, not a cron pattern: write runOnceAt instead`;
  if (fields.length === 7)
    return `${shown} has seven fields: a pattern has no year here; use startTime and endTime`;
  return (
    `${shown} has ${fields.length} field${fields.length === 1 ? "" : "s"}; ` +
    "a pattern has five (minute hour day month weekday), or six with seconds first"
  );
}

function plainly(message: string, fields: readonly string[]): string {
  const text = message
    .replace(/^Cron(Pattern|Date)?: ?/, "")
    .replace(/^./, (first) => first.toLowerCase());
  if (fields.some((field) => /^(\D*\/)?H\b/i.test(field) && !/^\d/.test(field)))
    return "H is not known here; use jitterSeconds to spread the load";
  const field = CRONERS_WORDS.find(([word]) => word.test(text))?.[1];
  return (field === undefined ? text : `${text} (${CRON_FIELDS[field]!.range})`).replace(
    /[. ]+$/,
    "",
  );
}

function isWild(field: string): boolean {
  return /^[*?](?:\/1)?$/.test(field);
}

function refuse(message: string): CronCheck {
  return { ok: false, message };
}
