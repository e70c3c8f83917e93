/** Slots as `orchd next` and its rehearsal tell them: every note, order and bound. */
import { describe, expect, it } from "vitest";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { iso } from "../../src/core/time.ts";
import { scheduleKey, timetable } from "../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { comingSlots } from "../../src/views/coming-slots.ts";
import { newestSlot, nearSlots } from "../../src/views/near-slots.ts";
import {
  plannedByFile,
  plannedByLedger,
  slotsAfter,
  type Planned,
} from "../../src/views/planned.ts";
import {
  schedulesInForce,
  scheduleText,
  wholeSchedule,
} from "../../src/views/recorded-schedule.ts";
import { rehearse, type Rehearsal } from "../../src/views/rehearsal.ts";
import { daylightNote, localText } from "../../src/views/slot-text.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const berlin = (cron: string): Schedule => scheduleOf({ cron, timezone: "Europe/Berlin" });

it.each<[string, string, string]>([
  ["2026-11-23T02:03:04.000Z", "UTC", "2026-11-23T02:03:04Z"],
  ["2026-11-23T02:03:04.000Z", "Europe/London", "2026-11-23T02:03:04+00:00"],
  ["2026-11-23T02:03:04.000Z", "Europe/Berlin", "2026-11-23T03:03:04+01:00"],
  ["2026-07-23T02:03:04.000Z", "Europe/Berlin", "2026-07-23T04:03:04+02:00"],
  ["2026-11-23T02:03:04.000Z", "Asia/Kolkata", "2026-11-23T07:33:04+05:30"],
  ["2026-11-23T02:03:04.000Z", "America/St_Johns", "2026-11-22T22:33:04-03:30"],
  ["2026-11-23T02:03:04.000Z", "Pacific/Kiritimati", "2026-11-23T16:03:04+14:00"],
])("%s in %s is %s", (slot, zone, text) => {
  expect(localText(Date.parse(slot), zone)).toBe(text);
});

describe("what daylight saving does to a slot", () => {
  // Berlin: 2027-03-28 02:00 -> 03:00, 2026-10-25 03:00 -> 02:00.
  const GAP = Date.parse("2027-03-28T01:00:00Z");
  const TWICE = Date.parse("2026-10-25T00:30:00Z");
  it.each<[string, number, Schedule, string | undefined]>([
    [
      "a fixed time in the gap",
      GAP,
      berlin("30 2 * * *"),
      "gap: 02:30 does not exist on this day, so it runs at 03:00",
    ],
    [
      "with its seconds",
      GAP,
      berlin("5 30 2 * * *"),
      "gap: 02:30:05 does not exist on this day, so it runs at 03:00",
    ],
    ["a fixed time at the gap's end", GAP, berlin("0 3 * * *"), undefined],
    ["a pattern over the gap", GAP, berlin("*/30 * * * *"), undefined],
    [
      "a fixed time, the first time",
      TWICE,
      berlin("30 2 * * *"),
      "overlap: 02:30 comes twice on this day, and it runs the first time only",
    ],
    [
      "a pattern, the first time",
      TWICE,
      berlin("*/30 * * * *"),
      "overlap: 02:30 comes twice on this day; this is the first",
    ],
    [
      "a pattern, the second time",
      TWICE + 3_600_000,
      berlin("*/30 * * * *"),
      "overlap: 02:30 comes twice on this day; this is the second",
    ],
    ["an hour later", TWICE + 7_200_000, berlin("*/30 * * * *"), undefined],
    ["the same time in UTC", TWICE, scheduleOf({ cron: "30 0 * * *" }), undefined],
    [
      "no pattern",
      TWICE,
      scheduleOf({ intervalSeconds: 60, timezone: "Europe/Berlin" }),
      undefined,
    ],
  ])("%s", (_, slot, schedule, note) => {
    expect(daylightNote(slot, schedule)).toBe(note);
  });
});

it.each<[Partial<Schedule>[], string | null]>([
  [[], null],
  [[{ cron: "@daily" }], "@daily"],
  [[{ cron: "0 2 * * *", timezone: "Europe/Berlin" }], "0 2 * * * Europe/Berlin"],
  [[{ cron: "0 2 * * *", timezone: "UTC" }], "0 2 * * *"],
  [[{ intervalSeconds: 90 }], "every 90s"],
  [[{ runOnceAt: "2027-01-01T00:00:00Z" }], "once at 2027-01-01T00:00:00Z"],
  [[{ cron: 7 as never }], "?"],
  [[{ cron: "@daily" }, { intervalSeconds: 1 }], "@daily, every 1s"],
])("schedules %j are told as %s", (schedules, text) => {
  expect(scheduleText(schedules as Schedule[])).toBe(text);
});

it("a schedule with stopAfter is in force until its last slot ran", () => {
  const schedule = { ...scheduleOf({ cron: "0 * * * *" }), stopAfter: 2 };
  const other = scheduleOf({ cron: "5 * * * *" });
  const inForce = (ran: number): unknown[] => {
    const state = emptyPipelineState() as unknown as Record<string, unknown>;
    state["schedules"] = [schedule, other];
    state["ran"] = ran === 0 ? {} : { [scheduleKey(schedule)]: ran };
    return schedulesInForce(state as never).map(({ cron }) => cron);
  };
  expect([0, 1, 2, 3].map(inForce)).toEqual([
    ["0 * * * *", "5 * * * *"],
    ["0 * * * *", "5 * * * *"],
    ["5 * * * *"],
    ["5 * * * *"],
  ]);
  expect(wholeSchedule({ cron: "x" } as never)).toEqual({
    cron: "x",
    timezone: "UTC",
    jitterSeconds: 0,
    blackout: [],
  });
  expect(wholeSchedule({ cron: "x", timezone: "A/B", jitterSeconds: 1 } as never)).toMatchObject({
    timezone: "A/B",
    jitterSeconds: 1,
  });
});

describe("a pipeline's coming slots", () => {
  const FROM = Date.parse("2026-11-23T02:00:00Z");
  const hourly = { ...scheduleOf({ cron: "0 * * * *" }), stopAfter: 1 };
  const file = pipelineOf("p", [hourly]);
  const stateOf = (digest: string, ran: number, paused = false) => {
    const state = emptyPipelineState() as unknown as Record<string, unknown>;
    Object.assign(state, {
      digest,
      paused,
      schedules: [hourly],
      ran: { [scheduleKey(hourly)]: ran },
    });
    return state as never;
  };
  const count = (planned: Planned): number => slotsAfter(planned, FROM, 1).length;

  it("count what ran under the very text of the file, and nothing of another one", () => {
    expect(count(plannedByFile(file, () => undefined, FROM))).toBe(1);
    expect(count(plannedByFile(file, () => stateOf(file.digest, 0), FROM))).toBe(1);
    expect(count(plannedByFile(file, () => stateOf(file.digest, 1), FROM))).toBe(0);
    expect(count(plannedByFile(file, () => stateOf("other", 1), FROM))).toBe(1);
    expect(count(plannedByLedger("p", stateOf("other", 1), FROM))).toBe(0);
    expect(plannedByFile(file, () => stateOf("other", 1, true), FROM).paused).toBe(true);
    expect(plannedByFile(file, () => undefined, FROM).paused).toBe(false);
    expect(plannedByLedger("p", stateOf("other", 1, true), FROM).paused).toBe(true);
    expect(plannedByLedger("q", stateOf("other", 1), FROM).pipeline).toBe("q");
  });

  it("end where stopAfter is expected to end the schedule, unless it is paused", () => {
    const thrice = { ...hourly, stopAfter: 3 };
    const given = pipelineOf("p", [thrice]);
    const hours = (schedule: Schedule, ran: number, paused = false): string[] => {
      const state = { schedules: [schedule], ran: { "": ran }, paused } as never;
      return slotsAfter(plannedByLedger("p", state, FROM), FROM, 5).map(({ slot }) =>
        iso(slot).slice(11, 13),
      );
    };
    expect(hours(thrice, 0)).toEqual(["03", "04", "05"]);
    expect(hours(thrice, 2)).toEqual(["03"]);
    expect(hours(thrice, 2, true)).toHaveLength(5);
    const blackout = { from: "2026-11-23T03:00:00Z", to: "2026-11-23T05:00:00Z" };
    expect(hours({ ...thrice, blackout: [blackout] }, 2)).toEqual(["03", "04", "05"]);
    expect(hours({ ...thrice, endTime: "2026-11-23T04:00:00Z" }, 0)).toEqual(["03", "04"]);
    expect(hours({ ...thrice, stopAfter: 20_000 }, 0)).toHaveLength(5);
    expect(
      slotsAfter(
        plannedByFile(given, () => undefined, FROM),
        FROM,
        5,
      ),
    ).toHaveLength(3);
    const paused = plannedByFile(given, () => stateOf("other", 1, true), FROM);
    expect(slotsAfter(paused, FROM, 5)).toHaveLength(5);
  });

  it("are slots after a time, however late jitter makes those before it", () => {
    const table = timetable("p", [scheduleOf({ cron: "0 * * * *", jitterSeconds: 3_000 })]);
    const planned = { pipeline: "p", table, paused: false };
    const slots = (from: number, number: number): string[] =>
      slotsAfter(planned, from, number).map(({ slot }) =>
        new Date(slot).toISOString().slice(11, 16),
      );
    expect(slots(FROM, 3)).toEqual(["03:00", "04:00", "05:00"]);
    expect(slots(FROM - 1, 2)).toEqual(["02:00", "03:00"]);
    expect(slots(FROM, 0)).toEqual([]);
  });

  it("of one time come by name, each with all that is special about it", () => {
    const blackout = [{ from: "2026-11-23T03:00:00Z", to: "2026-11-23T03:30:00Z" }];
    const planned = (pipeline: string, parts: Partial<Schedule>, paused = false): Planned => ({
      pipeline,
      paused,
      table: timetable(pipeline, [scheduleOf({ cron: "0 3 * * *", ...parts })]),
    });
    const slots = comingSlots(
      [planned("b", { blackout: blackout }, true), planned("a", {})],
      FROM,
      3,
    );
    expect(slots.map(({ pipeline, slot }) => `${pipeline} ${slot.slice(8, 13)}`)).toEqual([
      "a 23T03",
      "b 23T03",
      "a 24T03",
    ]);
    expect(slots[0]).toEqual({
      pipeline: "a",
      slot: "2026-11-23T03:00:00.000Z",
      local: "2026-11-23T03:00:00Z",
    });
    expect(slots[1]!.note).toMatch(/: it will be skipped; paused: it will be skipped$/);
  });
});

describe("a rehearsal", () => {
  const FROM = Date.UTC(2026, 10, 23);
  const days = (schedules: Record<string, Schedule[]>, more: object = {}): Rehearsal => {
    const planned = Object.entries(schedules).map(([pipeline, own]) => ({
      pipeline,
      table: timetable(pipeline, own),
      paused: false,
    }));
    const given = { from: FROM, days: 1, most: 1, ...more };
    return rehearse(new RunStore(tempRoot().runs), planned, given);
  };

  it("has its ends, and each slot between them, the last one too", () => {
    expect(days({ p: [scheduleOf({ cron: "0 0 * * *" })] }, { days: 2 })).toEqual({
      from: "2026-11-23T00:00:00.000Z",
      to: "2026-11-25T00:00:00.000Z",
      slots: 2,
      cut: [],
      pileUps: [],
      overlaps: [],
      moved: [],
    });
  });

  it("tells the largest pile-up first, of equal ones the earliest, each name once", () => {
    const noon = scheduleOf({ cron: "0 12 * * *" });
    const one = scheduleOf({ cron: "0 1,13 * * *" });
    const { pileUps } = days({ p: [one, noon], q: [one, noon], r: [noon] });
    expect(pileUps).toEqual([
      { second: "2026-11-23T12:00:00.000Z", count: 3, pipelines: ["p", "q", "r"] },
      { second: "2026-11-23T01:00:00.000Z", count: 2, pipelines: ["p", "q"] },
      { second: "2026-11-23T13:00:00.000Z", count: 2, pipelines: ["p", "q"] },
    ]);
  });

  it("has the slots that daylight saving moves, and no others", () => {
    const from = Date.UTC(2027, 2, 25);
    const { moved } = days(
      { p: [berlin("30 2 * * *")], q: [scheduleOf({ cron: "30 2 * * *" })] },
      { from, days: 7 },
    );
    expect(moved.map(({ pipeline, slot }) => [pipeline, slot])).toEqual([
      ["p", "2027-03-28T01:00:00.000Z"],
    ]);
    expect(days({ p: [berlin("30 2 * * *")] }, { from, days: 2 }).moved).toEqual([]);
  });

  it("goes by the newest hundred runs, by their median and the longest of ten", () => {
    const { runs } = tempRoot();
    const ends = [...Array(50).fill(600_000), ...Array(89).fill(50_000), ...Array(11).fill(90_000)];
    writePipeline(runs, "p", [
      loaded("* * * * *"),
      ...ends.map((durationMs: number, index) => ({
        type: "run.finished",
        run: `p@20261101T${String(index).padStart(6, "0")}Z`,
        status: "completed",
        durationMs,
      })),
    ]);
    const table = timetable("p", [scheduleOf({ cron: "* * * * *" })]);
    const planned = [{ pipeline: "p", table, paused: false }];
    const given = { from: FROM, days: 1, most: 1 };
    expect(rehearse(new RunStore(runs), planned, given).overlaps).toEqual([
      {
        pipeline: "p",
        slot: "2026-11-23T00:01:00.000Z",
        nextSlot: "2026-11-23T00:02:00.000Z",
        everyMs: 60_000,
        medianMs: 50_000,
        longMs: 90_000,
        slots: 1_439,
      },
    ]);
  });
});

describe("the slots near a time", () => {
  const at = (day: number, hour = 0): string =>
    new Date(Date.UTC(2026, 10, day, hour)).toISOString();
  const near = (events: HandEvent[], time: string): string => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", events);
    return nearSlots(new RunStore(runs), "p", Date.parse(time));
  };
  const daily: HandEvent = { ...loaded("0 2 * * *"), at: at(20) };

  it.each<[string, HandEvent[], string, string]>([
    [
      "between two",
      [daily],
      at(22),
      `the one before is ${at(21, 2)} and the one after ${at(22, 2)}`,
    ],
    ["at one", [daily], at(22, 2), `the one before is ${at(21, 2)} and the one after ${at(23, 2)}`],
    ["before the first", [daily], at(20, 1), `the one after is ${at(20, 2)}`],
    ["before the load", [daily], at(19), ""],
    [
      "after a text that has ended",
      [daily, { ...loaded("0 5 * * *"), at: at(22) }],
      at(21, 12),
      `the one before is ${at(21, 2)}`,
    ],
    ["without a schedule", [{ ...daily, schedules: [] }], at(22), ""],
  ])("%s", (_, events, time, text) => {
    expect(near(events, time)).toBe(text);
  });

  it("are found as far back as 400 days", () => {
    const yearly = { ...loaded("0 0 1 1 *"), at: "2020-06-01T00:00:00.000Z" };
    expect(near([yearly], "2026-12-31T00:00:00.000Z")).toContain("2026-01-01T00:00:00.000Z");
    const leap = { ...loaded("0 0 29 2 *"), at: "2020-06-01T00:00:00.000Z" };
    expect(near([leap], "2025-04-03T23:59:59.999Z")).toMatch(/^the one before is 2024-02-29/);
    expect(near([leap], "2025-04-05T00:00:00.001Z")).toMatch(/^the one after is 2028-02-29/);
  });

  it("the newest that is decided is the last of a stretch; backfills do not count", () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    const newest = (...events: HandEvent[]): number | undefined => {
      writePipeline(runs, "p", [daily, ...events]);
      return newestSlot(store, "p");
    };
    expect(newest()).toBeUndefined();
    const slot = { slot: at(21, 2) };
    for (const type of ["slot.fired", "slot.caught_up", "slot.skipped", "slot.missed"])
      expect(newest({ type, ...slot })).toBe(Date.parse(at(21, 2)));
    expect(newest({ type: "slot.missed", ...slot, until: at(22, 2) })).toBe(Date.parse(at(22, 2)));
    expect(newest({ type: "slot.backfilled", ...slot })).toBeUndefined();
  });
});
