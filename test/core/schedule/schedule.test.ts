import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { Cron } from "croner";
import { cronCalculator } from "../../../src/core/schedule/cron-calculator.ts";
import { blackoutOf, jitterOf, slotId, timetable } from "../../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../../src/core/schedule/schedule-schema.ts";
import { scheduleOf } from "../../support/given-schedule.ts";

const at = (iso: string): number => Date.parse(iso);
const iso = (ms: number): string => new Date(ms).toISOString();

function slots(schedules: Schedule[], from: string, to: string): string[] {
  return timetable("p", schedules).dueSlots(at(from), at(to)).map(slotId);
}

describe("slots", () => {
  test("a stretch leaves out its start and takes in its end", () => {
    expect(
      slots([scheduleOf({ cron: "*/5 * * * *" })], "2026-11-24T10:00:00Z", "2026-11-24T10:10:00Z"),
    ).toEqual(["2026-11-24T10:05:00.000Z", "2026-11-24T10:10:00.000Z"]);
  });

  test("an interval counts from its start, which is its first slot", () => {
    const every90 = scheduleOf({ intervalSeconds: 90, startTime: "2026-11-24T10:00:30Z" });
    expect(slots([every90], "2026-11-24T09:00:00Z", "2026-11-24T10:04:00Z")).toEqual([
      "2026-11-24T10:00:30.000Z",
      "2026-11-24T10:02:00.000Z",
      "2026-11-24T10:03:30.000Z",
    ]);
  });

  test("a one-off is due once", () => {
    const once = scheduleOf({ runOnceAt: "2026-11-24T10:00:00Z" });
    expect(slots([once], "2026-11-24T09:00:00Z", "2027-11-24T10:04:00Z")).toEqual([
      "2026-11-24T10:00:00.000Z",
    ]);
    expect(timetable("p", [once]).next(at("2026-11-24T10:00:00Z"))).toBeUndefined();
  });

  test("startTime and endTime belong to the schedule themselves", () => {
    const bounded = scheduleOf({
      cron: "0 * * * *",
      startTime: "2026-11-24T10:00:00Z",
      endTime: "2026-11-24T12:00:00Z",
    });
    expect(slots([bounded], "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")).toEqual([
      "2026-11-24T10:00:00.000Z",
      "2026-11-24T11:00:00.000Z",
      "2026-11-24T12:00:00.000Z",
    ]);
  });

  test("schedules without params that meet are one slot; one with params has its own track", () => {
    const found = slots(
      [
        scheduleOf({ cron: "0 * * * *" }),
        scheduleOf({ cron: "0 */2 * * *", name: "even" }),
        scheduleOf({ cron: "0 12 * * *", name: "noon", params: { a: 1 } }),
      ],
      "2026-11-24T11:00:00Z",
      "2026-11-24T13:00:00Z",
    );
    expect(found).toEqual([
      "2026-11-24T12:00:00.000Z",
      "2026-11-24T12:00:00.000Z.noon",
      "2026-11-24T13:00:00.000Z",
    ]);
  });

  test("of tracks that are due in one moment, the first by name is the next", () => {
    const tracks = ["b", "a"].map((name) =>
      scheduleOf({ name, cron: "0 2 * * *", params: { region: name } }),
    );
    const from = "2026-11-24T01:00:00Z";
    const two = "2026-11-24T02:00:00.000Z";
    expect(slots(tracks, from, "2026-11-24T03:00:00Z")).toEqual([`${two}.a`, `${two}.b`]);
    expect(slotId(timetable("p", tracks).next(at(from))!)).toBe(`${two}.a`);
  });

  test("slots before `since` do not count", () => {
    const table = timetable(
      "p",
      [scheduleOf({ cron: "* * * * *", jitterSeconds: 30 })],
      at("2026-11-24T10:00:00Z"),
    );
    expect(table.next(at("2026-11-24T09:00:00Z"))?.slot).toBe(at("2026-11-24T10:01:00Z"));
  });

  test("jitter is the same for the same slot, within its bound, and spreads", () => {
    const values = Array.from({ length: 500 }, (_, index) => jitterOf("p", index * 60_000, 30));
    expect(values).toEqual(
      Array.from({ length: 500 }, (_, index) => jitterOf("p", index * 60_000, 30)),
    );
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThanOrEqual(30_000);
    expect(new Set(values).size).toBeGreaterThan(400);
    expect(jitterOf("q", 60_000, 30)).not.toBe(jitterOf("p", 60_000, 30));
  });

  test("a blackout covers from its start and leaves out its end", () => {
    const windowed = scheduleOf({
      cron: "* * * * *",
      blackout: [{ cron: "0 2 * * *", durationMs: 3_600_000 }],
    });
    expect(blackoutOf(windowed, at("2026-11-24T01:59:00Z"))).toBeUndefined();
    expect(blackoutOf(windowed, at("2026-11-24T02:00:00Z"))).toBe('blackout "0 2 * * *"');
    expect(blackoutOf(windowed, at("2026-11-24T02:59:00Z"))).toBeDefined();
    expect(blackoutOf(windowed, at("2026-11-24T03:00:00Z"))).toBeUndefined();
    const dated = scheduleOf({
      cron: "* * * * *",
      blackout: [{ from: "2026-12-24T00:00:00Z", to: "2026-12-26T00:00:00Z" }],
    });
    expect(blackoutOf(dated, at("2026-12-25T00:00:00Z"))).toContain("2026-12-24");
    expect(blackoutOf(dated, at("2026-12-26T00:00:00Z"))).toBeUndefined();
  });
});

describe("any schedules", () => {
  const patterns = [
    "* * * * *",
    "*/7 * * * *",
    "*/10 * * * * *",
    "0 * * * *",
    "30 2 * * *",
    "15,45 1-3 * * *",
    "* 2 * * *",
    "0 9 * * 1-5",
  ];
  const zones = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/New_York",
    "Asia/Kathmandu",
  ];
  const anySchedule = fc.record({
    cron: fc.constantFrom(...patterns),
    timezone: fc.constantFrom(...zones),
    jitterSeconds: fc.constantFrom(0, 0, 5, 600),
    name: fc.constantFrom(undefined, "a", "b"),
    own: fc.boolean(),
  });
  const anyTable = fc.array(anySchedule, { minLength: 1, maxLength: 3 }).map((all) =>
    timetable(
      "p",
      all.map(({ name, own, ...rest }, index) =>
        scheduleOf({
          ...rest,
          ...(own
            ? { name: `${name ?? "x"}${index}`, params: {} }
            : name === undefined
              ? {}
              : { name }),
        }),
      ),
    ),
  );
  // Around both daylight-saving changes of 2026 in Berlin.
  const anyStart = fc.oneof(
    fc.integer({ min: at("2026-03-28T12:00:00Z"), max: at("2026-03-29T12:00:00Z") }),
    fc.integer({ min: at("2026-10-24T12:00:00Z"), max: at("2026-10-25T12:00:00Z") }),
  );

  test("however a stretch is cut, its slots are the same, each once", () => {
    fc.assert(
      fc.property(
        anyTable,
        anyStart,
        fc.integer({ min: 0, max: 4 * 3_600_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (table, from, length, share) => {
          const to = from + length;
          const middle = from + Math.floor(length * share);
          const whole = table.dueSlots(from, to).map(slotId);
          const parts = [...table.dueSlots(from, middle), ...table.dueSlots(middle, to)].map(
            slotId,
          );
          expect(parts).toEqual(whole);
          expect(new Set(whole).size).toBe(whole.length);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("next, newest and a limit agree with the whole stretch", () => {
    fc.assert(
      fc.property(
        anyTable,
        anyStart,
        fc.integer({ min: 0, max: 4 * 3_600_000 }),
        fc.integer({ min: 1, max: 20 }),
        (table, from, length, limit) => {
          const whole = table.dueSlots(from, from + length);
          expect(table.dueSlots(from, from + length, limit)).toEqual(whole.slice(0, limit));
          expect(table.newest(from, from + length)).toEqual(whole.at(-1));
          if (whole.length > 0) expect(table.next(from)).toEqual(whole[0]);
          else
            expect(table.next(from)?.due ?? Number.POSITIVE_INFINITY).toBeGreaterThan(
              from + length,
            );
        },
      ),
      { numRuns: 150 },
    );
  });

  test("walking within a quarter of an hour gives what croner alone gives", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...patterns),
        fc.constantFrom(...zones),
        anyStart,
        (pattern, timezone, from) => {
          const plain = new Cron(pattern, {
            timezone,
            mode: "5-or-6-parts",
            fixedTimeRule: "no-wildcard",
          });
          const quick = cronCalculator(pattern, timezone);
          let expected = from;
          let found: number | undefined = from;
          for (let count = 0; count < 60; count += 1) {
            expected = plain.nextRun(new Date(expected))!.getTime();
            found = quick.next(found!);
            expect(iso(found!)).toBe(iso(expected));
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
