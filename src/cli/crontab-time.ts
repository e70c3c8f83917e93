/**
 * The five fields of a crontab's line as a pattern of orchd that has cron's slots.
 *
 * The dialects are one, with two exceptions. Where clocks are set, cron tells fixed times from
 * others by a `*` at the beginning of the minutes or hours, and orchd by any `*` or step in them.
 * So `0-30/10 2 * * *` is written as the list that it means. And orchd knows forms that cron does
 * not: of these a person is told.
 */
import {
  CRON_FIELDS,
  cronFields,
  steppedFrom,
  type CronField,
} from "../core/schedule/cron-reading.ts";
import { gapsOfYear } from "../core/schedule/zone.ts";

/** How many years ahead are looked at for a change of a zone's clocks. */
const YEARS_AHEAD = 3;

/** The pattern for a crontab's time, and what a person should know, as sentences without an end. */
export interface CrontabTime {
  readonly pattern: string;
  readonly notes: readonly string[];
}

/** Why cron has a time that orchd has no pattern for. Undefined if it has one. */
export function timeFault(cron: string): string | undefined {
  return cron.includes("~")
    ? `${cron} has a ~, a time that cron picks at random; ` +
        "write the first one, and jitterSeconds in the pipeline spreads the runs"
    : undefined;
}

/**
 * The pattern with cron's slots in a zone.
 *
 * @param cron a checked pattern of five fields, or a nickname
 * @param year the year from which the zone's clocks count
 */
export function crontabTime(cron: string, zone: string, year: number): CrontabTime {
  if (cron.startsWith("@")) return { pattern: cron, notes: [] };
  const fields = cronFields(cron);
  const notes = fields.flatMap((text, index) =>
    text.split(",").flatMap((part) => partNote(part, CRON_FIELDS[index]!) ?? []),
  );
  const [, minutes, hours, ...days] = fields as [string, string, string, string, string, string];
  const fixedForCron = !minutes.startsWith("*") && !hours.startsWith("*");
  const fixedHere = !/[*/?]/.test(minutes + hours);
  if (!fixedForCron || fixedHere || notes.length > 0 || !setsClocks(zone, year))
    return { pattern: cron, notes };
  const lists = [listOf(minutes, CRON_FIELDS[1]!), listOf(hours, CRON_FIELDS[2]!)];
  const pattern = [...lists, ...days].join(" ");
  return {
    pattern,
    notes: [
      `${cron} is written as ${pattern}: to cron these are fixed times, ` +
        `which run once where clocks in ${zone} are set`,
    ],
  };
}

/** What cron makes of a part of a field that it reads otherwise. */
function partNote(part: string, field: CronField): string | undefined {
  const from = steppedFrom(part, field);
  if (from !== undefined) {
    const step = Number(part.slice(part.indexOf("/") + 1));
    return from + step > field.most
      ? undefined
      : `${part} runs from its number to the end of the field here; ` +
          "cron refuses it, or reads the number alone";
  }
  const value = `(?:\\d+${field.names.map((name) => `|${name}`).join("")})`;
  return new RegExp(`^(?:\\*|${value}(?:-${value})?)(?:/\\d+)?$`, "i").test(part)
    ? undefined
    : `${part} means something here, and cron does not know it`;
}

function setsClocks(zone: string, year: number): boolean {
  return Array.from({ length: YEARS_AHEAD }, (_, ahead) => gapsOfYear(year + ahead, zone)).some(
    (gaps) => gaps.length > 0,
  );
}

/** A field of stars, numbers, ranges and steps as a list of numbers. */
function listOf(text: string, { least, most }: CronField): string {
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const [range, step = "1"] = part.split("/") as [string, string?];
    const [low, high = low] = range === "*" ? [least, most] : range.split("-").map(Number);
    for (let value = low!; value <= high!; value += Number(step)) values.add(value);
  }
  return [...values].sort((a, b) => a - b).join(",");
}
