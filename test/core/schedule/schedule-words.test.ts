/** Every sentence about a schedule: what is wrong, what may surprise, why a slot is missed. */
import { describe, expect, it } from "vitest";
import { decideCatchUp, surveyCatchUp } from "../../../src/core/schedule/catch-up.ts";
import { checkCron, cronWarnings } from "../../../src/core/schedule/cron-check.ts";
import { resolveSchedules } from "../../../src/core/schedule/resolve-schedule.ts";
import { timetable } from "../../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../../src/core/schedule/schedule-schema.ts";
import { formatPath } from "../../../src/core/fault.ts";
import { scheduleOf } from "../../support/given-schedule.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const CONTEXT = { timezone: "UTC", now: NOW };

/** Its faults, each with its place, and its warnings after a `~`. */
function told(written: object): string[] {
  const { faults, warnings } = resolveSchedules(written, CONTEXT);
  return [
    ...faults.map(({ path, message }) => `${formatPath(path)} ${message}`),
    ...warnings.map((text) => `~ ${text}`),
  ];
}

const HOURLY = { cron: "0 * * * *" };

describe("what is wrong with a schedule", () => {
  it.each<[object, string[]]>([
    [HOURLY, []],
    [{}, ["schedule is empty: it needs cron, or intervalSeconds with startTime, or runOnceAt"]],
    [
      [
        { ...HOURLY, name: "a" },
        { ...HOURLY, name: "a" },
      ],
      ['schedule[1].name another schedule is called "a" already'],
    ],
    [{ ...HOURLY, stopAfter: 3 }, []],
    [[{ ...HOURLY, stopAfter: 3, name: "a" }, HOURLY], []],
    [
      [
        { ...HOURLY, stopAfter: 3 },
        { ...HOURLY, name: "b" },
      ],
      [],
    ],
    [
      [HOURLY, { ...HOURLY, stopAfter: 3 }],
      [
        "schedule[1].stopAfter counts by the schedule's name, " +
          "and another schedule has none either: name it",
      ],
    ],
    [
      { intervalSeconds: 60 },
      ["schedule.intervalSeconds needs a startTime from which the interval is counted"],
    ],
    [
      {
        intervalSeconds: 60,
        startTime: "2026-11-24T00:00:00Z",
        runOnceAt: "2027-11-24T00:00:00Z",
      },
      [
        "schedule.runOnceAt cannot go with intervalSeconds: " +
          "a schedule repeats or runs once, so remove one of them",
      ],
    ],
    [
      { ...HOURLY, params: { a: 1 } },
      ["schedule has params of its own, so it needs a name, which tells its slots from others"],
    ],
    [
      { ...HOURLY, name: "x-r1", params: { a: 1 } },
      [
        'schedule.name "x-r1" ends as a run\'s id does (-m, -b1, -r1): a schedule with ' +
          "params of its own has its name in its run ids, so choose another",
      ],
    ],
    [
      { ...HOURLY, startTime: "2027-01-02", endTime: "2027-01-01" },
      ["schedule.endTime lies before startTime, so the schedule never fires"],
    ],
    [
      { cron: "0 0 1 1 *", startTime: "2027-02-01", endTime: "2027-03-01" },
      ['schedule.cron "0 0 1 1 *" never fires between startTime and endTime'],
    ],
    [
      { ...HOURLY, blackout: { cron: "0 2 * * *", duration: "999ms" } },
      ["schedule.blackout.duration must be at least 1s"],
    ],
    [{ ...HOURLY, blackout: { cron: "0 2 * * *", duration: "1s" } }, []],
    [
      { ...HOURLY, blackout: { from: "2027-01-01", to: "2027-01-01" } },
      ["schedule.blackout.to must lie after from"],
    ],
    [
      { ...HOURLY, blackout: [{ from: "2027-01-01" }] },
      ["schedule.blackout[0] must be either {cron, duration} or {from, to}"],
    ],
    [
      { ...HOURLY, startTime: "soon" },
      [
        'schedule.startTime must be a time such as "2026-12-01T02:30:00" or ' +
          '"2026-12-01T02:30:00Z", not "soon"',
      ],
    ],
    [
      { ...HOURLY, startTime: "2027-02-29" },
      ['schedule.startTime is not a moment that exists since 1970: "2027-02-29"'],
    ],
    [
      { ...HOURLY, startTime: "2027-02-01T00:00+24:01" },
      ['schedule.startTime has an offset that does not exist: "2027-02-01T00:00+24:01"'],
    ],
  ])("%j: %j", (written, sentences) => {
    expect(told(written)).toEqual(sentences);
  });
});

describe("what may surprise about a schedule", () => {
  it.each<[object, string[]]>([
    [
      { ...HOURLY, name: "n", intervalSeconds: 60 },
      ["~ schedule n: has both cron and intervalSeconds: cron wins and intervalSeconds is ignored"],
    ],
    [
      { ...HOURLY, runOnceAt: "2027-01-01" },
      ["~ schedule: has both cron and runOnceAt: cron wins and runOnceAt is ignored"],
    ],
    [
      { runOnceAt: "2026-11-24T12:00:00Z" },
      [
        "~ schedule: runOnceAt 2026-11-24T12:00:00.000Z has passed: " +
          "this schedule does not fire any more",
      ],
    ],
    [{ runOnceAt: "2026-11-24T12:00:01Z" }, []],
    [
      { runOnceAt: "2026-11-24T12:00:00.001Z" },
      [
        '~ schedule: runOnceAt "2026-11-24T12:00:00.001Z" has a part of a second, and a slot is ' +
          "a whole second; 2026-11-24T12:00:01.000Z is used",
      ],
    ],
    [
      { ...HOURLY, endTime: "2026-11-24T12:00:00Z" },
      [
        "~ schedule: endTime 2026-11-24T12:00:00.000Z has passed: " +
          "this schedule does not fire any more",
      ],
    ],
    [{ ...HOURLY, endTime: "2026-11-24T13:00:00Z" }, []],
    [
      { ...HOURLY, timezone: "Europe/Berlin", startTime: "2027-03-28T02:30:00" },
      [
        '~ schedule: "2027-03-28T02:30:00" does not exist in Europe/Berlin, ' +
          "where the clock is set forward over it; 2027-03-28T01:00:00.000Z is used",
      ],
    ],
    [
      { ...HOURLY, timezone: "Europe/Berlin", startTime: "2027-10-31T02:30:00" },
      [
        '~ schedule: "2027-10-31T02:30:00" exists twice in Europe/Berlin, ' +
          "where the clock is set back over it; the first is used, 2027-10-31T00:30:00.000Z",
      ],
    ],
    [
      { ...HOURLY, blackout: { cron: "0 2 1 * 1", duration: "1h" } },
      [
        '~ schedule: blackout "0 2 1 * 1" names days of the month and of the week: ' +
          "it fires on days that match either; " +
          "write +1 as the last field for days that match both",
      ],
    ],
  ])("%j: %j", (written, sentences) => {
    expect(told(written)).toEqual(sentences);
  });

  it.each<[string, string, string[]]>([
    ["0 2 * * *", "UTC", []],
    [
      "* 0 2 * * *",
      "UTC",
      [
        '"* 0 2 * * *" has * in its first field, which of six fields is seconds: ' +
          "within each matching minute it fires every second",
      ],
    ],
    [
      "0 2 */2 * 1",
      "UTC",
      [
        '"0 2 */2 * 1" names days of the month and of the week, and */2 counts as a star, ' +
          "as in cron: it fires on days that match both; write 1-31/2 for days that match either",
      ],
    ],
    ["0 0 29 2 *", "UTC", ['"0 0 29 2 *" hardly ever fires: the next time is 2028-02-29']],
    [
      "30 2 * * *",
      "Europe/Berlin",
      [
        '"30 2 * * *" names a time that does not exist on 2027-03-28: ' +
          "clocks in Europe/Berlin pass over 02:30, and it runs at 03:00",
      ],
    ],
    ["*/30 * * * *", "Europe/Berlin", []],
  ])("%s in %s: %j", (cron, zone, sentences) => {
    expect(cronWarnings(cron, zone, NOW)).toEqual(sentences);
  });
});

it.each([
  ["", 'is empty; a pattern has five fields, such as "30 2 * * *"'],
  ["0 2 * * ü", "holds a character that no cron pattern has"],
  [
    "0 2 * *",
    '"0 2 * *" has 4 fields; ' +
      "a pattern has five (minute hour day month weekday), or six with seconds first",
  ],
  [
    "0",
    '"0" has 1 field; ' +
      "a pattern has five (minute hour day month weekday), or six with seconds first",
  ],
  [
    "0 0 2 * * * 2027",
    '"0 0 2 * * * 2027" has seven fields: a pattern has no year here; use startTime and endTime',
  ],
  ["2027-01-01", '"2027-01-01" is a date, not a cron pattern: write runOnceAt instead'],
  ["0 0 31 2 *", '"0 0 31 2 *" never fires: no date matches it'],
  ["@every 5m", '"@every 5m" is no cron pattern: write intervalSeconds and startTime instead'],
  ["@reboot", '"@reboot" is not a time: orchd has no schedule for the start of the machine'],
  [
    "@often",
    '"@often" is not a nickname; known are ' +
      "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
  ],
  [
    "0 2 * * 7/2",
    '"0 2 * * 7/2" is no cron pattern: ' +
      "7/2 begins with the last Sunday; write 0/2, from the first one",
  ],
  [
    "61/2 2 * * *",
    /^"61\/2 2 \* \* \*" is no cron pattern: 61\/2 begins outside its field \(.*0-59/,
  ],
  [
    "H 2 * * *",
    '"H 2 * * *" is no cron pattern: H is not known here; use jitterSeconds to spread the load',
  ],
  ["0 2 * 13 *", /is no cron pattern: .*\(months are 1-12 or JAN-DEC\)$/],
  ["0 25 * * *", /is no cron pattern: .*\(hours are 0-23\)$/],
  ["0".repeat(257), "is longer than any cron pattern needs to be (256 characters)"],
])("the pattern %j is refused: %s", (text, sentence) => {
  const check = checkCron(text);
  const message = check.ok ? "" : check.message;
  if (typeof sentence === "string") expect(message).toBe(sentence);
  else expect(message).toMatch(sentence);
});

describe("a slot of a downtime", () => {
  const CAUSE = "no daemon was up";
  const decided = (parts: Partial<Schedule>, facts: object = {}, hours = 3): string[] => {
    const schedules = [scheduleOf({ ...HOURLY, ...parts })];
    const window = { from: NOW - hours * 3_600_000, to: NOW, now: NOW };
    return decideCatchUp(surveyCatchUp("p", schedules, window), {
      now: NOW,
      cause: CAUSE,
      decided: new Set(),
      taken: new Set(),
      ...facts,
    }).map((one) => `${one.kind}: ${"because" in one ? one.because : ""}`);
  };
  const newest = "2026-11-24T12:00:00.000Z";
  const newer = `missed: ${CAUSE}; catchUp is latest, which runs the newer slot ${newest}`;
  it.each<[string, Partial<Schedule>, object, string[]]>([
    ["by the latest", {}, {}, [newer, newer, `run: ${CAUSE}; catchUp is latest`]],
    ["by none", { catchUp: "none" }, {}, Array(3).fill(`missed: ${CAUSE}; catchUp is none`)],
    ["by all", { catchUp: "all" }, {}, Array(3).fill(`run: ${CAUSE}; catchUp is all`)],
    [
      "by all, two at most",
      { catchUp: "all", maxCatchUp: 2 },
      {},
      [
        `missed: ${CAUSE}; more than maxCatchUp (2) slots were due since`,
        `run: ${CAUSE}; catchUp is all`,
        `run: ${CAUSE}; catchUp is all`,
      ],
    ],
    [
      "by the latest, none at most",
      { maxCatchUp: 0 },
      {},
      [newer, newer, `missed: ${CAUSE}; maxCatchUp is 0`],
    ],
    [
      "within a window",
      { catchUp: "all", catchUpWindowMs: 3_600_000 },
      {},
      [
        `missed: ${CAUSE}; older than the catch-up window of 1h`,
        `run: ${CAUSE}; catchUp is all`,
        `run: ${CAUSE}; catchUp is all`,
      ],
    ],
    [
      "of a schedule that ends",
      { catchUp: "all", stopAfter: 9 },
      { left: () => 1 },
      [
        `run: ${CAUSE}; catchUp is all`,
        `missed: ${CAUSE}; the schedule ended with its run number 9`,
        `missed: ${CAUSE}; the schedule ended with its run number 9`,
      ],
    ],
    [
      "of a paused pipeline",
      {},
      { paused: "the pipeline is paused" },
      Array(3).fill("skipped: the pipeline is paused"),
    ],
    ["that nothing can run", {}, { impossible: "its file is gone" }, ["missed: its file is gone"]],
  ])("%s", (_, parts, facts, told) => {
    expect([...new Set(decided(parts, facts))]).toEqual([...new Set(told)]);
  });

  it("is told when the newest one has a run already", () => {
    const ran = "2026-11-24T12:00:00.000Z";
    expect([...new Set(decided({}, { taken: new Set([ran]) }))]).toContain(
      `missed: ${CAUSE}; catchUp is latest, and the newer slot ${ran} ran`,
    );
  });
});

describe("the slots of an interval are whole seconds, whatever its times are", () => {
  const slots = (parts: Partial<Schedule>): string[] =>
    timetable("p", [scheduleOf({ intervalSeconds: 60, ...parts })])
      .dueSlots(NOW - 1, NOW + 120_000)
      .map(({ slot }) => new Date(slot).toISOString().slice(14, -1));
  it.each<[Partial<Schedule>, string[]]>([
    [{ startTime: "2026-11-24T12:00:00Z" }, ["00:00.000", "01:00.000", "02:00.000"]],
    [{ startTime: "2026-11-24T12:00:00.500Z" }, ["00:01.000", "01:01.000"]],
    [{ startTime: "2026-11-24T11:59:59.001Z" }, ["00:00.000", "01:00.000", "02:00.000"]],
    [
      { startTime: "2026-11-24T12:00:00Z", endTime: "2026-11-24T12:01:00Z" },
      ["00:00.000", "01:00.000"],
    ],
    [{ startTime: "2026-11-24T12:00:00Z", endTime: "2026-11-24T12:00:59.999Z" }, ["00:00.000"]],
  ])("%j", (parts, seconds) => {
    expect(slots(parts)).toEqual(seconds);
  });
});
