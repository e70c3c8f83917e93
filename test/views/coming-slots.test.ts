/** What `orchd next` lists: slots of all pipelines in order, with a due time that differs. */
import { expect, it } from "vitest";
import { jitterOf, timetable } from "../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { comingSlots } from "../../src/views/coming-slots.ts";
import type { Planned } from "../../src/views/planned.ts";
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
