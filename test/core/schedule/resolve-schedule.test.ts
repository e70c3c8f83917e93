/**
 * What written schedules become: the three ways, zones, times without an offset, defaults,
 * warnings.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRunId, runIdForSlot } from "../../../src/core/run-id.ts";
import { parseMoment, resolveSchedules } from "../../../src/core/schedule/resolve-schedule.ts";
import type { ScheduleDefinition } from "../../../src/core/schedule/schedule-schema.ts";

const context = { timezone: "UTC", now: Date.UTC(2026, 10, 24) };

function one(written: ScheduleDefinition, timezone = "UTC"): ReturnType<typeof resolveSchedules> {
  return resolveSchedules(written, { ...context, timezone });
}

function faults(written: ScheduleDefinition | ScheduleDefinition[]): string[] {
  return resolveSchedules(written, context).faults.map(
    ({ path, message }) => `${path.join(".")}: ${message}`,
  );
}

describe("defaults", () => {
  it("are those of semantics.md 9", () => {
    expect(one({ cron: "@daily" }).schedules).toEqual([
      {
        cron: "0 0 * * *",
        timezone: "UTC",
        jitterSeconds: 0,
        catchUp: "latest",
        catchUpWindowMs: 86_400_000,
        maxCatchUp: 100,
        blackout: [],
      },
    ]);
  });

  it("take the zone from the settings, and a schedule's own over it", () => {
    expect(one({ cron: "@daily" }, "Europe/Berlin").schedules[0]?.timezone).toBe("Europe/Berlin");
    expect(
      one({ cron: "@daily", timezone: "Asia/Tokyo" }, "Europe/Berlin").schedules[0]?.timezone,
    ).toBe("Asia/Tokyo");
  });

  it("are nothing at all where there is no schedule", () => {
    expect(resolveSchedules(undefined, context)).toEqual({
      schedules: [],
      faults: [],
      warnings: [],
    });
  });
});

describe("the three ways", () => {
  it("are cron, an interval from a start, or one moment", () => {
    expect(
      one({ intervalSeconds: 90, startTime: "2026-12-01T00:00:00.250Z" }).schedules[0],
    ).toMatchObject({
      intervalSeconds: 90,
      startTime: "2026-12-01T00:00:01.000Z",
    });
    expect(one({ runOnceAt: "2026-12-01T00:00:00.001Z" }).schedules[0]).toMatchObject({
      runOnceAt: "2026-12-01T00:00:01.000Z",
    });
  });

  it("say which second a part of one is rounded up to", () => {
    expect(one({ runOnceAt: "2027-12-01T00:00:00.001Z" }).warnings).toEqual([
      'schedule: runOnceAt "2027-12-01T00:00:00.001Z" has a part of a second, and a slot is a ' +
        "whole second; 2027-12-01T00:00:01.000Z is used",
    ]);
    const start = "2027-12-01T00:00:00.250+01:00";
    expect(one({ intervalSeconds: 90, startTime: start }).warnings).toEqual([
      expect.stringContaining(`startTime "${start}" has a part of a second`),
    ]);
    expect(one({ runOnceAt: "2027-12-01T00:00:00.000Z" }).warnings).toEqual([]);
    expect(one({ cron: "@daily", startTime: start }).warnings).toEqual([]);
  });

  it("need one of them, and an interval its start", () => {
    expect(faults({})).toEqual([expect.stringContaining("schedule: is empty: it needs cron")]);
    expect(faults({ startTime: "2026-12-01" })).toHaveLength(1);
    expect(faults({ intervalSeconds: 5 })).toEqual([
      expect.stringContaining("schedule.intervalSeconds: needs a startTime"),
    ]);
    expect(
      faults({ intervalSeconds: 5, startTime: "2026-12-01", runOnceAt: "2026-12-01" }),
    ).toEqual([expect.stringContaining("remove one")]);
  });

  it("let cron win with a warning", () => {
    const both = one({ cron: "0 5 * * *", intervalSeconds: 5, startTime: "2026-12-01" });
    expect(both.warnings).toEqual([expect.stringContaining("cron wins")]);
    expect(both.schedules[0]).toMatchObject({
      cron: "0 5 * * *",
      startTime: "2026-12-01T00:00:00.000Z",
    });
    expect(both.schedules[0]).not.toHaveProperty("intervalSeconds");
  });
});

describe("naive times", () => {
  it("are local in the schedule's zone", () => {
    expect(
      one({ runOnceAt: "2026-12-01T02:30", timezone: "Europe/Berlin" }).schedules[0]?.runOnceAt,
    ).toBe("2026-12-01T01:30:00.000Z");
    expect(
      one(
        { cron: "@daily", startTime: "2026-12-01", endTime: "2026-12-31 12:00:00" },
        "America/New_York",
      ).schedules[0],
    ).toMatchObject({
      startTime: "2026-12-01T05:00:00.000Z",
      endTime: "2026-12-31T17:00:00.000Z",
    });
  });

  it("warn where the clock leaves them out or shows them twice", () => {
    expect(one({ runOnceAt: "2027-03-28T02:30", timezone: "Europe/Berlin" })).toMatchObject({
      schedules: [{ runOnceAt: "2027-03-28T01:00:00.000Z" }],
      warnings: [expect.stringContaining("does not exist")],
    });
    expect(one({ runOnceAt: "2027-10-31T02:30", timezone: "Europe/Berlin" })).toMatchObject({
      schedules: [{ runOnceAt: "2027-10-31T00:30:00.000Z" }],
      warnings: [expect.stringContaining("exists twice")],
    });
  });

  it("with an offset are taken as they are", () => {
    expect(
      one({ runOnceAt: "2027-03-28T02:30+02:00", timezone: "Asia/Tokyo" }).schedules[0]?.runOnceAt,
    ).toBe("2027-03-28T00:30:00.000Z");
  });
});

describe("what is refused", () => {
  it("has its place", () => {
    expect(faults({ cron: "61 * * * *" })).toEqual([
      expect.stringMatching(/^schedule\.cron: "61 \* \* \* \*" is no cron pattern/),
    ]);
    expect(faults({ cron: "@daily", timezone: "Europe/Berln" })).toEqual([
      expect.stringContaining('schedule.timezone: "Europe/Berln" is no time zone'),
    ]);
    expect(faults({ runOnceAt: "tomorrow" })).toEqual([
      expect.stringContaining("schedule.runOnceAt: must be a time such as"),
    ]);
    expect(faults({ runOnceAt: "2026-02-30T00:00Z" })).toEqual([
      expect.stringContaining("not a moment that exists"),
    ]);
    expect(faults({ cron: "@daily", startTime: "2027-01-01", endTime: "2026-01-01" })).toEqual([
      expect.stringContaining("schedule.endTime: lies before startTime"),
    ]);
    expect(faults({ cron: "0 0 1 1 *", startTime: "2027-02-01", endTime: "2027-03-01" })).toEqual([
      expect.stringContaining("never fires between"),
    ]);
  });

  it("is a name that two schedules have, and params without a name", () => {
    expect(
      faults([
        { cron: "@daily", name: "a" },
        { cron: "@hourly", name: "a" },
      ]),
    ).toEqual([expect.stringContaining('schedule.1.name: another schedule is called "a"')]);
    expect(faults([{ cron: "@daily", params: { x: 1 } }])).toEqual([
      expect.stringContaining("schedule.0: has params of its own, so it needs a name"),
    ]);
    expect(faults([{ cron: "@daily", params: {} }])).toEqual([]);
  });

  it("is a name that run ids cannot hold, where the schedule's slots are its own", () => {
    for (const name of ["a-m", "a-b1", "a-r1", "nightly-m", "a-m-b12", "a-b0"]) {
      expect(faults([{ cron: "@daily", name, params: { x: 1 } }])).toEqual([
        expect.stringContaining(`schedule.0.name: ${JSON.stringify(name)} ends as a run's id does`),
      ]);
      // Without params of its own its name is in no run's id.
      expect(faults([{ cron: "@daily", name }])).toEqual([]);
    }
  });

  it("leaves no name that a run's id refuses", () => {
    const slot = Date.UTC(2026, 10, 23, 2);
    const ends = fc.constantFrom("", "-m", "-b1", "-r22", "m", "-b", "-mm", "-r1x");
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/), ends, (start, end) => {
        const name = `${start}${end}`;
        const { schedules } = resolveSchedules(
          { cron: "@daily", name, params: { x: 1 } },
          { timezone: "UTC", now: slot },
        );
        if (schedules.length === 0) return;
        expect(parseRunId(runIdForSlot("p", slot, name))?.schedule).toBe(name);
      }),
      { seed: 16 },
    );
  });

  it("are all reported at once", () => {
    expect(faults([{ cron: "x" }, { timezone: "y", runOnceAt: "z" }])).toHaveLength(3);
  });
});

describe("blackouts", () => {
  it("are windows by a pattern or from one moment to another", () => {
    expect(
      one({
        cron: "@hourly",
        timezone: "Europe/Berlin",
        blackout: [
          { cron: "0 2 * * SUN", duration: "2h" },
          { from: "2026-12-24", to: "2026-12-27" },
        ],
      }).schedules[0]?.blackout,
    ).toEqual([
      { cron: "0 2 * * SUN", durationMs: 7_200_000 },
      { from: "2026-12-23T23:00:00.000Z", to: "2026-12-26T23:00:00.000Z" },
    ]);
  });

  it.each([
    [{ cron: "0 2 * * *" }, /either/],
    [{ from: "2026-12-24" }, /either/],
    [{ from: "2026-12-24", to: "2026-12-24" }, /after from/],
    [{ cron: "0 2 * * *", duration: "0s" }, /at least 1s/],
    [{ cron: "0 2 30 2 *", duration: "1h" }, /never fires/],
  ])("refuse %j", (blackout, message) => {
    expect(faults({ cron: "@hourly", blackout })).toEqual([expect.stringMatching(message)]);
  });
});

it("says how the day fields of a blackout join", () => {
  expect(
    one({ cron: "@daily", blackout: { cron: "0 2 */2 * 1", duration: "1h" } }).warnings,
  ).toEqual([
    expect.stringMatching(/^schedule: blackout "0 2 \*\/2 \* 1" names days .* match both/),
  ]);
});

it("warns of what has passed", () => {
  expect(one({ runOnceAt: "2020-01-01" }).warnings).toEqual([
    expect.stringContaining("has passed"),
  ]);
  expect(one({ cron: "@daily", endTime: "2020-01-01" }).warnings).toEqual([
    expect.stringContaining("has passed"),
  ]);
  expect(one({ cron: "* * * * * *", name: "fast" }).warnings).toEqual([
    expect.stringMatching(/^schedule fast: .*seconds/),
  ]);
});

describe("a warning of a pattern that hardly ever fires", () => {
  const leap = "0 0 29 2 *";
  const hardly = [expect.stringContaining("hardly ever fires: the next time is 2028-02-29")];

  it("looks ahead from now", () => {
    expect(one({ cron: leap }).warnings).toEqual(hardly);
    expect(one({ cron: leap, startTime: "2020-01-01" }).warnings).toEqual(hardly);
  });

  it("looks ahead from a startTime that is still to come", () => {
    expect(one({ cron: leap, startTime: "2028-01-01" }).warnings).toEqual([]);
  });
});

it.each([
  ["2026-12-01", { localMs: Date.UTC(2026, 11, 1) }],
  ["1970-01-01", { localMs: 0 }],
  ["9999-12-31T23:59:59.999", { localMs: Date.UTC(9999, 11, 31, 23, 59, 59, 999) }],
  [
    "2028-02-29T00:00:59,123456789Z",
    { localMs: Date.UTC(2028, 1, 29, 0, 0, 59, 123), offsetMs: 0 },
  ],
  ["2026-12-01T05:06Z", { localMs: Date.UTC(2026, 11, 1, 5, 6), offsetMs: 0 }],
  [
    "2026-12-01 05:06:07.5-0330",
    { localMs: Date.UTC(2026, 11, 1, 5, 6, 7, 500), offsetMs: -12_600_000 },
  ],
])("reads %s", (text, moment) => expect(parseMoment(text)).toEqual(moment));

it.each([
  "",
  "2026",
  "2026-13-01",
  "2026-00-01",
  "2026-11-31",
  "2027-02-29",
  "0070-01-01",
  "2026-12-01T24:00",
  "2026-12-01T00:00:60",
  "2026-12-01T00:00+25:00",
  "1969-12-31",
  "12/01/2026",
  "2026-12-01T",
])("refuses %j as a moment", (text) => {
  expect(parseMoment(text)).toBeTypeOf("string");
});
