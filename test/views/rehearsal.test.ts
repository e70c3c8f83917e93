/** What `orchd next --days` warns of: overlaps and pile-ups, at their bounds. */
import { expect, it } from "vitest";
import { timetable } from "../../src/core/schedule/schedule.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { Planned } from "../../src/views/planned.ts";
import { rehearse, type Rehearsal } from "../../src/views/rehearsal.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const FROM = Date.UTC(2026, 10, 23);

/** A day of pipelines that run every minute, whose runs took so long. */
function dayOf(pipelines: Readonly<Record<string, readonly number[]>>, most = 10): Rehearsal {
  const { runs } = tempRoot();
  const planned = Object.entries(pipelines).map(([pipeline, tookMs]): Planned => {
    const ends = tookMs.map((durationMs, index) => ({
      type: "run.finished",
      run: `${pipeline}@2026112200${String(index).padStart(2, "0")}00Z`,
      status: "completed",
      durationMs,
    }));
    writePipeline(runs, pipeline, [loaded("* * * * *"), ...ends]);
    const table = timetable(pipeline, [scheduleOf({ cron: "* * * * *" })]);
    return { pipeline, table, paused: false };
  });
  return rehearse(new RunStore(runs), planned, { from: FROM, days: 1, most });
}

it.each([
  [59_999, 0],
  [60_000, 0],
  [60_001, 1_439],
])("a run that takes %i ms every minute overlaps the next one %i times", (longMs, count) => {
  const { overlaps, slots } = dayOf({ p: [1_000, longMs, longMs] });
  expect(slots).toBe(1_440);
  expect(overlaps.map((one) => [one.slots, one.longMs, one.everyMs])).toEqual(
    count === 0 ? [] : [[count, longMs, 60_000]],
  );
});

it("all slots of all pipelines count, from one moment through another", () => {
  const { from, to, slots, cut, moved } = dayOf({ p: [], q: [] });
  expect({ from, to, slots, cut, moved }).toEqual({
    from: "2026-11-23T00:00:00.000Z",
    to: "2026-11-24T00:00:00.000Z",
    slots: 2_880,
    cut: [],
    moved: [],
  });
});

it("two runs are no history, and one long run of ten is an exception", () => {
  expect(dayOf({ p: [90_000, 90_000] }).overlaps).toEqual([]);
  const nine = Array<number>(9).fill(2_000);
  expect(dayOf({ p: [...nine, 90_000] }).overlaps).toEqual([]);
  expect(dayOf({ p: [...nine.slice(1), 90_000, 90_000] }).overlaps).toHaveLength(1);
});

it("a second is a pile-up if more pipelines are due in it than the limit", () => {
  const pipelines = { p: [], q: [], r: [] };
  expect(dayOf(pipelines, 3).pileUps).toEqual([]);
  const [first, ...more] = dayOf(pipelines, 2).pileUps;
  expect(more).toHaveLength(1_439);
  expect(first).toEqual({
    second: "2026-11-23T00:01:00.000Z",
    count: 3,
    pipelines: ["p", "q", "r"],
  });
});

it("pile-ups come with the most slots first, and equal ones by their time", () => {
  const { runs } = tempRoot();
  const planned = ["* * * * *", "*/20 * * * *", "*/30 * * * *"].map((cron, index): Planned => {
    const pipeline = `p${index}`;
    writePipeline(runs, pipeline, [loaded(cron)]);
    return { pipeline, table: timetable(pipeline, [scheduleOf({ cron })]), paused: false };
  });
  const { pileUps } = rehearse(new RunStore(runs), planned, { from: FROM, days: 1, most: 1 });
  expect(pileUps.slice(0, 2).map(({ count, second }) => [count, second])).toEqual([
    [3, "2026-11-23T01:00:00.000Z"],
    [3, "2026-11-23T02:00:00.000Z"],
  ]);
  expect(pileUps.find(({ count }) => count === 2)!.second).toBe("2026-11-23T00:20:00.000Z");
});

it("a pipeline whose schedules meet counts with each slot, and is named once", () => {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [loaded("* * * * *")]);
  const schedules = ["a", "b", "c"].map((name) =>
    scheduleOf({ cron: "0 2 * * *", name, params: { name } }),
  );
  const planned = [{ pipeline: "p", table: timetable("p", schedules), paused: false }];
  const { pileUps } = rehearse(new RunStore(runs), planned, { from: FROM, days: 1, most: 2 });
  expect(pileUps).toEqual([{ second: "2026-11-23T02:00:00.000Z", count: 3, pipelines: ["p"] }]);
});
