import { describe, expect, test } from "vitest";
import fc from "fast-check";
import {
  decideCatchUp,
  surveyCatchUp,
  type CatchUpFacts,
} from "../../../src/core/schedule/catch-up.ts";
import { cronCalculator } from "../../../src/core/schedule/cron-calculator.ts";
import { slotId, timetable } from "../../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../../src/core/schedule/schedule-schema.ts";
import { reached, trials } from "../../support/figures.ts";
import { scheduleOf } from "../../support/given-schedule.ts";

const at = (iso: string): number => Date.parse(iso);
const NOW = at("2026-11-24T12:00:00Z");

function decide(
  schedules: Schedule[],
  from: number,
  facts: Partial<CatchUpFacts> = {},
  to = NOW,
): string[] {
  const survey = surveyCatchUp("p", schedules, { from, to, now: NOW });
  return decideCatchUp(survey, {
    now: NOW,
    cause: "no daemon was up",
    decided: new Set(),
    taken: new Set(),
    ...facts,
  }).map((decision) => {
    const until =
      decision.kind === "missed" && decision.until !== undefined
        ? `..${slotId(decision.until).slice(5, 16)}`
        : "";
    return `${decision.kind} ${slotId(decision.slot).slice(5, 16)}${until}`;
  });
}

describe("catch-up", () => {
  const hourly = { cron: "0 * * * *" };

  test("latest runs the newest and misses the rest", () => {
    expect(decide([scheduleOf(hourly)], NOW - 3 * 3_600_000)).toEqual([
      "missed 11-24T10:00",
      "missed 11-24T11:00",
      "run 11-24T12:00",
    ]);
  });

  test("none misses all, all runs all", () => {
    expect(decide([scheduleOf({ ...hourly, catchUp: "none" })], NOW - 2 * 3_600_000)).toEqual([
      "missed 11-24T11:00",
      "missed 11-24T12:00",
    ]);
    expect(decide([scheduleOf({ ...hourly, catchUp: "all" })], NOW - 2 * 3_600_000)).toEqual([
      "run 11-24T11:00",
      "run 11-24T12:00",
    ]);
  });

  test("all runs the newest maxCatchUp", () => {
    expect(
      decide([scheduleOf({ ...hourly, catchUp: "all", maxCatchUp: 1 })], NOW - 2 * 3_600_000),
    ).toEqual(["missed 11-24T11:00", "run 11-24T12:00"]);
  });

  test("older than the window is one line; a slot exactly as old as the window is in it", () => {
    expect(
      decide([scheduleOf({ ...hourly, catchUpWindowMs: 3_600_000 })], NOW - 10 * 3_600_000),
    ).toEqual(["missed 11-24T03:00..11-24T10:00", "missed 11-24T11:00", "run 11-24T12:00"]);
  });

  test("a slot exactly as old as the window runs, and one a second older does not", () => {
    const one = (seconds: number): string[] => {
      const runOnceAt = new Date(NOW - seconds * 1_000).toISOString();
      return decide([scheduleOf({ runOnceAt, catchUpWindowMs: 3_600_000 })], NOW - 10 * 3_600_000);
    };
    expect(one(3_600)).toEqual(["run 11-24T11:00"]);
    expect(one(3_601)).toEqual(["missed 11-24T10:59"]);
  });

  test("each schedule has its own window, where another's is longer", () => {
    const both = [
      scheduleOf({ ...hourly, name: "a", params: { x: 1 }, catchUp: "all" }),
      scheduleOf({
        ...hourly,
        name: "b",
        params: { x: 2 },
        catchUp: "all",
        catchUpWindowMs: 3_600_000,
      }),
    ];
    expect(decide(both, NOW - 3 * 3_600_000)).toEqual([
      "run 11-24T10:00",
      "missed 11-24T10:00",
      "run 11-24T11:00",
      "run 11-24T11:00",
      "run 11-24T12:00",
      "run 11-24T12:00",
    ]);
  });

  test("a run without a line is adopted, within the window and before it", () => {
    const taken = new Set(["2026-11-24T03:00:00.000Z", "2026-11-24T11:00:00.000Z"]);
    expect(
      decide([scheduleOf({ ...hourly, catchUpWindowMs: 2 * 3_600_000 })], NOW - 10 * 3_600_000, {
        taken,
      }),
    ).toEqual([
      "adopt 11-24T03:00",
      "missed 11-24T04:00..11-24T09:00",
      "missed 11-24T10:00",
      "adopt 11-24T11:00",
      "run 11-24T12:00",
    ]);
  });

  test("paused slots are skipped", () => {
    expect(decide([scheduleOf(hourly)], NOW - 2 * 3_600_000, { paused: "paused" })).toEqual([
      "skipped 11-24T11:00",
      "skipped 11-24T12:00",
    ]);
  });

  test("a run without a line is adopted also where the pipeline is paused, or cannot run", () => {
    const taken = new Set(["2026-11-24T11:00:00.000Z"]);
    const since = NOW - 2 * 3_600_000;
    expect(decide([scheduleOf(hourly)], since, { taken, paused: "paused" })).toEqual([
      "adopt 11-24T11:00",
      "skipped 11-24T12:00",
    ]);
    expect(decide([scheduleOf(hourly)], since, { taken, impossible: "no file" })).toEqual([
      "adopt 11-24T11:00",
      "missed 11-24T12:00",
    ]);
  });

  test("each schedule with params catches up by itself", () => {
    const both = [
      scheduleOf({ ...hourly, name: "a", params: { x: 1 } }),
      scheduleOf({ ...hourly, name: "b", params: { x: 2 }, catchUp: "none" }),
    ];
    expect(decide(both, NOW - 3_600_000)).toEqual(["run 11-24T12:00", "missed 11-24T12:00"]);
  });

  test("stopAfter leaves no more runs than are left", () => {
    expect(
      decide([scheduleOf({ ...hourly, catchUp: "all", stopAfter: 5 })], NOW - 3 * 3_600_000, {
        left: () => 2,
      }),
    ).toEqual(["run 11-24T10:00", "run 11-24T11:00", "missed 11-24T12:00"]);
  });

  const downtimes: [name: string, catchUp: Schedule["catchUp"], hours: number][] = [
    ["an hour", "none", 1],
    ["an hour", "latest", 1],
    ["an hour", "all", 1],
    ["a week", "all", 7 * 24],
    ["a year", "latest", 365 * 24],
    ["a year", "none", 365 * 24],
    ["a year", "all", 365 * 24],
  ];
  test.each(downtimes)(
    "%s of minutely slots in a named zone is decided within a second, under %s",
    (name, catchUp, hours) => {
      const minutely = [scheduleOf({ cron: "* * * * *", timezone: "Europe/Berlin", catchUp })];
      // Processor time: what else the machine does must not count.
      const before = process.cpuUsage();
      const lines = decide(minutely, NOW - hours * 3_600_000);
      const { user, system } = process.cpuUsage(before);
      const took = Math.round((user + system) / 1_000);
      // One line for everything older than the window, and one line for each slot within it.
      const older = hours > 24 ? 1 : 0;
      const within = older === 0 ? hours * 60 : 1_441;
      const exact =
        lines.length === older + within &&
        (lines.at(-1) === "run 11-24T12:00") === (catchUp !== "none");
      reached(
        14,
        `down for ${name}, ${catchUp}: ${lines.length} lines after ${took} ms`,
        exact && took < 1_000 ? 1 : 0,
        1,
      );
      expect(lines).toHaveLength(older + within);
      expect(lines.at(-1)).toBe(`${catchUp === "none" ? "missed" : "run"} 11-24T12:00`);
      expect(lines.filter((line) => line.startsWith("run"))).toHaveLength(
        catchUp === "none" ? 0 : catchUp === "latest" ? 1 : Math.min(100, within),
      );
      expect(took).toBeLessThan(1_000);
      if (older === 1) expect(lines[0]).toMatch(/^missed .*\.\.11-23T11:59$/);
    },
  );

  test("ten thousand pipelines of one pattern and zone share what works it out", () => {
    const of = Array.from({ length: 10_000 }, () => cronCalculator("*/7 3 * * *", "Europe/Berlin"));
    expect(new Set(of).size).toBe(1);
    expect(cronCalculator("*/7 3 * * *", "Europe/Paris")).not.toBe(of[0]);
  });
});

test("tracks with a slot at the end of a split old stretch pass the watermark together", () => {
  const track = (name: string) =>
    scheduleOf({
      cron: "0 * * * *",
      name,
      params: {},
      catchUp: "none",
      catchUpWindowMs: 3_600_000,
    });
  const tracks = [track("a"), track("b"), track("c")];
  const span = { from: NOW - 4 * 3_600_000 - 1, to: NOW, now: NOW };
  const decided = new Set(
    timetable("p", tracks)
      .dueSlots(NOW - 2 * 3_600_000 - 1, NOW - 2 * 3_600_000)
      .filter(({ track: of }) => of === "b")
      .map(slotId),
  );
  const old = decideCatchUp(surveyCatchUp("p", tracks, span), {
    now: NOW,
    cause: "down",
    decided,
    taken: new Set(),
  }).filter(({ slot }) => slot.slot === NOW - 2 * 3_600_000);
  expect(old.map(({ slot }) => slot.track)).toEqual(["a", "c"]);
  expect(new Set(old.map(({ through }) => through)).size).toBe(1);
});

test("every slot is covered by exactly one decision, whatever is decided and taken already", () => {
  const anySchedule = fc.record({
    cron: fc.constantFrom("*/10 * * * *", "0 * * * *", "7 3 * * *"),
    jitterSeconds: fc.constantFrom(0, 900),
    catchUp: fc.constantFrom("none" as const, "latest" as const, "all" as const),
    catchUpWindowMs: fc.constantFrom(0, 3_600_000, 86_400_000),
    maxCatchUp: fc.constantFrom(1, 3, 100),
    own: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(anySchedule, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 0, max: 40 * 3_600_000 }),
      fc.integer(),
      fc.boolean(),
      (parts, back, seed, paused) => {
        const schedules = parts.map(({ own, ...rest }, index) =>
          scheduleOf({ ...rest, ...(own ? { name: `n${index}`, params: {} } : {}) }),
        );
        const table = timetable("p", schedules);
        const from = NOW - back;
        const all = table.dueSlots(from, NOW);
        // Decided slots stand just after the watermark, where a crash can leave them, and anywhere,
        // where a wrong clock can.
        const decided = new Set(
          all
            .filter(
              (_, index) => (index < 5 || index % 7 === 0) && ((seed >> (index % 31)) & 1) === 1,
            )
            .map(slotId),
        );
        const taken = new Set(
          all
            .slice(0, 5)
            .filter((_, index) => ((seed >> (index + 5)) & 1) === 1)
            .map(slotId),
        );
        const facts: CatchUpFacts = {
          now: NOW,
          cause: "down",
          decided,
          taken,
          ...(paused ? { paused: "paused" } : {}),
        };
        const decisions = decideCatchUp(
          surveyCatchUp("p", schedules, { from, to: NOW, now: NOW }),
          facts,
        );
        const ids = new Set(all.map(slotId));
        const everything = table.dueSlots(from - 86_400_000, NOW + 86_400_000);
        const covered = new Map<string, number>();
        for (const decision of decisions) {
          const until = decision.kind === "missed" ? decision.until : undefined;
          const stretch =
            until === undefined
              ? [decision.slot]
              : everything.filter(({ slot }) => slot >= decision.slot.slot && slot <= until.slot);
          for (const id of stretch.map(slotId)) covered.set(id, (covered.get(id) ?? 0) + 1);
        }
        const wrong = everything
          .map(slotId)
          .filter((id) => (covered.get(id) ?? 0) !== (ids.has(id) && !decided.has(id) ? 1 : 0));
        expect(wrong).toEqual([]);
        // Wherever a crash cuts the lines, the watermark has never passed a slot without a line.
        let open = all.filter((slot) => !decided.has(slotId(slot)));
        for (const decision of decisions) {
          const until = decision.kind === "missed" ? decision.until : undefined;
          open = open.filter((slot) =>
            until === undefined
              ? slotId(slot) !== slotId(decision.slot)
              : slot.slot < decision.slot.slot || slot.slot > until.slot,
          );
          const last =
            decisions.findLast(({ through }) => through === decision.through) === decision;
          // If a crash leaves a line for many slots, that line has moved the watermark past them.
          if (until !== undefined) expect(last).toBe(true);
          if (last) expect(open.filter(({ due }) => due <= decision.through)).toEqual([]);
        }
        for (const decision of decisions)
          if (decision.kind === "adopt") expect(taken.has(slotId(decision.slot))).toBe(true);
      },
    ),
    { numRuns: trials(60, 4_000) },
  );
});
