/** What `orchd next` lists: slots of all pipelines in order, with a due time that differs. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { jitterOf, timetable } from "../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { comingSlots } from "../../src/views/coming-slots.ts";
import { plannedByFile, slotsAfter, type Planned } from "../../src/views/planned.ts";
import { scheduleOf } from "../support/given-schedule.ts";

const FROM = Date.UTC(2026, 10, 23, 2);

function planned(pipeline: string, parts: Partial<Schedule>, paused = false): Planned {
  return { pipeline, table: timetable(pipeline, [scheduleOf(parts)]), paused };
}

it("lists the next slots of all pipelines, by time, then by name", () => {
  const slots = comingSlots(
    [planned("q", { cron: "*/2 * * * *" }), planned("p", { cron: "* * * * *" }, true)],
    FROM,
    4,
  );
  expect(
    slots.map(({ pipeline, slot, due, note }) => [pipeline, slot.slice(14, 19), due, note]),
  ).toEqual([
    ["p", "01:00", undefined, "paused: it will be skipped"],
    ["p", "02:00", undefined, "paused: it will be skipped"],
    ["q", "02:00", undefined, undefined],
    ["p", "03:00", undefined, "paused: it will be skipped"],
  ]);
});

it("gives the due time of a slot that jitter holds back", () => {
  const [first] = comingSlots([planned("p", { cron: "0 3 * * *", jitterSeconds: 600 })], FROM, 1);
  const slot = FROM + 3_600_000;
  const due = slot + jitterOf("p", slot, 600);
  expect(due).toBeGreaterThan(slot);
  expect(first).toMatchObject({
    slot: new Date(slot).toISOString(),
    due: new Date(due).toISOString(),
  });
});

it("leaves out no slot that jitter holds back for longer than those after it", () => {
  const all = [planned("p", { cron: "* * * * *", jitterSeconds: 4_000 })];
  const minutes = comingSlots(all, FROM, 12).map(({ slot }) => Date.parse(slot) - FROM);
  expect(minutes).toEqual(Array.from({ length: 12 }, (_, index) => (index + 1) * 60_000));
});

const CRON = fc.constantFrom(
  "* * * * *",
  "*/7 * * * *",
  "0 3 * * *",
  "30 2 1 * *",
  "*/20 * * * * *",
);
const PIPELINES = fc.array(
  fc.record({ cron: CRON, jitterSeconds: fc.constantFrom(0, 0, 30, 4_000) }),
  {
    maxLength: 8,
  },
);

it("lists the same as if all slots of every pipeline had been worked out", () => {
  fc.assert(
    fc.property(PIPELINES, fc.integer({ min: 0, max: 12 }), (given, number) => {
      const all = given.map((parts, index) => planned(`p${index}`, parts));
      const wanted = all
        .flatMap((it) =>
          slotsAfter(it, FROM, number).map(({ slot }) => [it.pipeline, slot] as const),
        )
        .toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1))
        .slice(0, number);
      expect(
        comingSlots(all, FROM, number).map(({ pipeline, slot }) => [pipeline, Date.parse(slot)]),
      ).toEqual(wanted);
    }),
    { numRuns: 60 },
  );
});

it("works out few slots of who comes late, and asks few whether they are paused", () => {
  let worked = 0;
  const asked: string[] = [];
  const all = Array.from({ length: 300 }, (_, index): Planned => {
    const name = `p${String(index).padStart(3, "0")}`;
    const schedules = [scheduleOf({ cron: "0 * * * *" })];
    const it = plannedByFile({ name, schedules, digest: "d" }, () => void asked.push(name), 0);
    const dueSlots: Planned["table"]["dueSlots"] = (...given) => {
      const slots = it.table.dueSlots(...given);
      worked += slots.length;
      return slots;
    };
    // No spread: it would ask.
    return Object.defineProperties(
      { ...planned(name, {}) },
      {
        ...Object.getOwnPropertyDescriptors(it),
        table: { value: { ...it.table, dueSlots } },
      },
    );
  });
  expect(comingSlots(all, FROM, 10).map(({ pipeline }) => pipeline)).toEqual(
    all.slice(0, 10).map(({ pipeline }) => pipeline),
  );
  expect(worked).toBeLessThan(400);
  expect(asked).toEqual(all.slice(0, 10).map(({ pipeline }) => pipeline));
});
