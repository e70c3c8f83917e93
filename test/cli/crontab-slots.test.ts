/**
 * The slots of imported lines, over a year in zones whose clocks are set, against what cron does
 * with the same lines.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultOf, importedLine } from "../../src/cli/crontab-pipeline.ts";
import { parseCrontab } from "../../src/cli/crontab.ts";
import { resolveSchedules } from "../../src/core/schedule/resolve-schedule.ts";
import { timetable } from "../../src/core/schedule/schedule.ts";
import { fullFigures, trials } from "../support/figures.ts";
import { cronStarts, offsetsOf } from "./cron-reading-oracle.ts";

const FROM = Date.UTC(2027, 0, 1);
const TO = Date.UTC(2028, 0, 1);
/**
 * What of the year is looked at: its first and last week, and the weeks around the days on which
 * one of the zones sets its clocks. The full figures have all of it.
 */
const PARTS: readonly (readonly [from: number, to: number])[] = fullFigures
  ? [[FROM, TO]]
  : [
      [FROM, Date.UTC(2027, 0, 8)],
      [Date.UTC(2027, 2, 7), Date.UTC(2027, 3, 11)],
      [Date.UTC(2027, 8, 26), Date.UTC(2027, 9, 10)],
      [Date.UTC(2027, 9, 24), Date.UTC(2027, 10, 14)],
      [Date.UTC(2027, 11, 25), TO],
    ];
/** An hour over midnight, half an hour, one in the south, one without, and the end of a day. */
const ZONES = [
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Havana",
  "America/Nuuk",
  "Asia/Kolkata",
];
const offsets = new Map(ZONES.map((zone) => [zone, offsetsOf(zone, FROM, TO)]));

/** The slots that a line's pipeline has in the parts of the year; or why the line is refused. */
function importedSlots(line: string, zone: string): number[] | string {
  const { entries, refused } = parseCrontab(`CRON_TZ=${zone}\n${line} true\n`, { system: false });
  const entry = entries[0];
  if (entry === undefined) return refused[0]!.reason;
  const machine = { zone: { ok: true, zone: "UTC" } } as const;
  const fault = faultOf(entry, machine);
  if (fault !== undefined) return fault;
  const { definition } = importedLine(entry, {
    machine,
    account: { user: "shop", home: "/home/shop" },
    crontab: "a crontab",
    shadow: false,
    now: FROM,
  });
  const { schedules, faults } = resolveSchedules(
    definition["schedule"] as Parameters<typeof resolveSchedules>[0],
    { timezone: "UTC", now: FROM },
  );
  if (faults.length > 0) return faults[0]!.message;
  const table = timetable("p", schedules);
  return PARTS.flatMap(([from, to]) => table.dueSlots(from - 1, to - 1).map(({ slot }) => slot));
}

function cronSlots(line: string, zone: string): number[] {
  return PARTS.flatMap(([from, to]) => cronStarts(line, offsets.get(zone)!, from, to));
}

const shown = (slots: readonly number[]): string[] => slots.map((at) => new Date(at).toISOString());

const number = (least: number, most: number, names?: readonly string[]): fc.Arbitrary<string> =>
  fc
    .integer({ min: least, max: most })
    .chain((value) =>
      fc.constantFrom(String(value), names?.[(value - least) % names.length] ?? String(value)),
    );

/** A field in any form that cron knows. */
function anyField(
  least: number,
  most: number,
  steps: number,
  names?: readonly string[],
): fc.Arbitrary<string> {
  const one = number(least, most, names);
  const range = fc
    .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
    .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const step = fc.integer({ min: 1, max: steps });
  const stepped = fc
    .tuple(fc.oneof(range, fc.constant("*")), step)
    .map(([of, by]) => `${of}/${by}`);
  const part = fc.oneof(one, range, stepped, fc.constant("*"));
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 4, arbitrary: part },
    { weight: 2, arbitrary: fc.array(part, { minLength: 2, maxLength: 3 }).map(String) },
  );
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Lines of which many have something to do with the hours in which clocks are set. */
const anyLine = fc
  .tuple(
    fc.oneof(anyField(0, 59, 30), fc.constantFrom("0", "30", "0-30/10", "*/15", "5,*/20")),
    fc.oneof(anyField(0, 23, 12), anyField(0, 3, 2), fc.constantFrom("2", "0-23/2", "1-3", "23")),
    anyField(1, 31, 15),
    anyField(1, 12, 6, MONTHS),
    anyField(0, 6, 6, WEEKDAYS),
  )
  .map((fields) => fields.join(" "));

describe("an imported line", () => {
  it.each([
    "0 0 * * *",
    "30 2 * * *",
    "0-30/10 2 * * *",
    "5,*/20 2 * * *",
    "0 0-23/2 * * *",
    "*/10 1-3 * * *",
    "15 * * * *",
    "0,30 0-3 * * 0",
    "30 1 1-7 * sun",
    "0 3 */2 * 1",
    "0 3 15 * */3",
    "0 3 1-31/2 * 1",
    "17 3 1,15 jan-jun mon-fri",
    "59 23 * * 7",
    "0 0 29 2 *",
    "*/7,3 */5 * * *",
  ])("%s has cron's slots in a year", (line) => {
    // Berlin, and another one for each line; the full figures have all for each.
    const other = ZONES[1 + (line.length % (ZONES.length - 1))]!;
    for (const zone of fullFigures ? ZONES : [ZONES[0]!, other]) {
      const found = importedSlots(line, zone);
      if (typeof found === "string") throw new Error(`${line} in ${zone}: ${found}`);
      expect({ zone, slots: shown(found) }).toEqual({ zone, slots: shown(cronSlots(line, zone)) });
    }
  });

  it("of any form has cron's slots in a year", { timeout: 600_000 }, () => {
    let compared = 0;
    fc.assert(
      fc.property(anyLine, fc.constantFrom(...ZONES), (line, zone) => {
        const found = importedSlots(line, zone);
        if (typeof found === "string") return;
        compared += 1;
        const expected = cronSlots(line, zone);
        const [ours, crons] = [new Set(found), new Set(expected)];
        const missing = expected.filter((at) => !ours.has(at));
        const more = found.filter((at) => !crons.has(at));
        if (found.length === expected.length && missing.length + more.length === 0) return;
        expect.fail(`${line} in ${zone}: lacks ${shown(missing)[0]}, has ${shown(more)[0]} more`);
      }),
      { numRuns: trials(8, 1_000), seed: 16 },
    );
    expect(compared).toBeGreaterThan(trials(4, 650));
  });
});
