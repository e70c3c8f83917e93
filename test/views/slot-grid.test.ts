import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DAY_MS, HOUR_MS } from "../../src/core/time.ts";
import type { StripMark } from "../../src/views/overview.ts";
import type { Roots } from "../../src/views/roots.ts";
import { cellsOf, readSlotGrid } from "../../src/views/slot-grid-reading.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const rootsOf = ({ root, schedules, runs }: TempRoot): Roots => ({ root, schedules, runs });
const DAY = { from: NOW - 10 * HOUR_MS, to: NOW + 3 * HOUR_MS };

describe("the grid of slots", () => {
  test("has a mark for each slot, and what comes before the end of the axis", () => {
    const { rows, sums } = readSlotGrid(rootsOf(madeUpRoot()), DAY, NOW);
    expect(rows.map(({ pipeline }) => pipeline)).toEqual(["bad", "etl", "held"]);
    const etl = rows[1]!;
    expect(etl.marks).toHaveLength(9);
    expect(etl).not.toHaveProperty("cells");
    expect(etl.coming.map(({ slot }) => slot)).toEqual([at(11), at(12), at(13)]);
    expect(rows[2]!.coming).toMatchObject([{ note: "paused: it will be skipped" }]);
    expect(sums).toEqual({ total: 9, ran: 5, late: 1, failed: 1, skipped: 1, missed: 3 });
  });

  test("has the worst of each cell where marks would lie upon each other", () => {
    const { rows } = readSlotGrid(rootsOf(madeUpRoot()), { ...DAY, cells: 3 }, NOW);
    const etl = rows[1]!;
    expect(etl).not.toHaveProperty("marks");
    expect(etl.cells!.map(({ cell, count, worst }) => [cell, count, worst.slot])).toEqual([
      [0, 4, at(2)],
      [1, 4, at(8)],
      [2, 1, at(9)],
    ]);
  });

  test.each([
    ["missed", [at(6), at(7), at(8)]],
    ["caught_up", [at(4)]],
    ["late", [at(4)]],
    ["not_run", [at(5), at(6), at(7), at(8)]],
    ["skipped,late", [at(4), at(5)]],
    ["by_hand", []],
  ])("shows the decision %s alone, and counts all", (decision, slots) => {
    const grid = readSlotGrid(rootsOf(madeUpRoot()), { ...DAY, decision, pipeline: "etl" }, NOW);
    expect(grid.rows).toHaveLength(1);
    expect(grid.rows[0]!.marks!.map(({ slot }) => slot)).toEqual(slots);
    expect(grid.sums.total).toBe(9);
  });

  test("has runs by hand and backfills as marks, and a removed pipeline while it has any", () => {
    const made = tempRoot();
    const manual = "p@20261123T081512.481Z-m";
    const rerun = `${idOf("p", 8)}-r1`;
    const backfill = `${idOf("p", 7)}-b1`;
    writePipeline(made.runs, "p", [
      { ...loaded("0 * * * *"), at: at(0) },
      { type: "slot.missed", at: at(7), slot: at(7), because: "down", through: at(7) },
      { type: "slot.fired", at: at(8), slot: at(8), run: idOf("p", 8), through: at(8) },
      { type: "run.finished", at: at(8, 1), run: idOf("p", 8), status: "failed", durationMs: 1 },
      { type: "run.started", at: at(8, 15), run: manual, trigger: "manual" },
      { type: "run.finished", at: at(8, 16), run: manual, status: "completed", durationMs: 2 },
      { type: "run.started", at: at(8, 20), run: rerun, trigger: "rerun" },
      { type: "slot.backfilled", at: at(8, 30), slot: at(7), run: backfill },
      { type: "run.started", at: at(8, 30), run: backfill, trigger: "backfill" },
      { type: "pipeline.removed", at: at(9) },
    ]);
    const { rows, sums, reasons } = readSlotGrid(rootsOf(made), DAY, NOW);
    expect(rows[0]!.marks!.map(({ slot, decision, run }) => [slot, decision, run])).toEqual([
      [at(7), "missed", null],
      [at(7), "backfilled", backfill],
      [at(8), "fired", idOf("p", 8)],
      ["2026-11-23T08:15:12.481Z", "by_hand", manual],
      [at(8, 20), "by_hand", rerun],
    ]);
    expect(sums).toMatchObject({ total: 2, ran: 1, missed: 1, failed: 1 });
    expect(reasons).toMatchObject([{ because: "down", slots: 1, backfilled: 1 }]);
    expect(rows[0]!.coming).toEqual([]);
    const lost = readSlotGrid(rootsOf(made), { ...DAY, decision: "not_run" }, NOW).rows[0]!;
    expect(lost.marks!.map(({ decision }) => decision)).toEqual(["missed"]);
    const later = { from: NOW + DAY_MS, to: NOW + 2 * DAY_MS };
    expect(readSlotGrid(rootsOf(made), later, NOW + 2 * DAY_MS).rows).toEqual([]);
  });

  test("forgets what a clock that went back decides again, and not what fired", () => {
    const made = tempRoot();
    const skipped = (hour: number): HandEvent => ({
      type: "slot.skipped",
      at: at(hour),
      slot: at(hour),
      because: "a blackout",
      through: at(hour),
    });
    writePipeline(made.runs, "p", [
      { ...loaded("0 * * * *"), at: at(0) },
      { type: "slot.fired", at: at(7), slot: at(7), run: idOf("p", 7), through: at(7) },
      skipped(8),
      skipped(9),
      { type: "clock.stepped", at: at(6, 30), from: at(9, 1), to: at(6, 30), through: at(6, 30) },
      { ...skipped(8), because: "it is paused" },
    ]);
    const { rows } = readSlotGrid(rootsOf(made), DAY, NOW);
    expect(rows[0]!.marks!.map(({ slot, because }) => [slot, because])).toEqual([
      [at(7), null],
      [at(8), "it is paused"],
    ]);
  });

  test("groups the reasons of slots that name runs", () => {
    const made = tempRoot();
    const skipped = (hour: number): HandEvent => ({
      type: "slot.skipped",
      at: at(hour),
      slot: at(hour),
      because: `run ${idOf("p", hour - 1)} still goes on; overlap is skip`,
      through: at(hour),
    });
    const first = { ...loaded("0 * * * *"), at: at(0) };
    writePipeline(made.runs, "p", [first, skipped(5), skipped(6)]);
    writePipeline(made.runs, "q", [first, skipped(7)]);
    expect(readSlotGrid(rootsOf(made), DAY, NOW).reasons).toEqual([
      {
        decision: "skipped",
        because: "the run before still goes on; overlap is skip",
        slots: 3,
        backfilled: 0,
        pipelines: ["p", "q"],
        from: at(5),
        to: at(7),
      },
    ]);
  });
});

describe("of the marks of one cell", () => {
  const mark = (more: Partial<StripMark>): StripMark => ({
    slot: at(1),
    decision: "fired",
    because: null,
    schedule: null,
    run: null,
    status: "completed",
    decidedAt: at(1),
    lateMs: 0,
    durationMs: null,
    ...more,
  });
  const LATE = 3_600_000;
  const BY_WORTH: readonly StripMark[] = [
    mark({ decision: "caught_up", status: "failed" }),
    mark({ decision: "missed", status: null }),
    mark({ status: "stopped" }),
    mark({ decision: "skipped", status: null }),
    mark({ lateMs: LATE }),
    mark({ decision: "caught_up", lateMs: LATE }),
    mark({ status: "running" }),
    mark({}),
  ];
  const worstOf = (...marks: StripMark[]): StripMark =>
    cellsOf(marks, { from: NOW, to: NOW + DAY_MS, cells: 1 })[0]!.worst;

  test("the worst stands for it, whichever comes first", () => {
    for (const [index, worse] of BY_WORTH.entries())
      for (const better of BY_WORTH.slice(index + 1)) {
        expect(worstOf(worse, better)).toBe(worse);
        expect(worstOf(better, worse)).toBe(worse);
      }
  });

  test("the newest does where two are as bad", () => {
    for (const [one, two] of [
      [mark({ status: "running" }), mark({ status: "initializing" })],
      [mark({}), mark({ decision: "backfilled" })],
      [mark({ status: "failed" }), mark({ decision: "by_hand", status: "failed" })],
    ] as const) {
      expect(worstOf(one, two)).toBe(two);
      expect(worstOf(two, one)).toBe(one);
    }
  });

  test("those at both ends of the axis have a cell", () => {
    const query = { from: NOW, to: NOW + 4_000, cells: 4 };
    const at = (ms: number): StripMark => mark({ slot: new Date(NOW + ms).toISOString() });
    const cells = cellsOf([at(4_000), at(0), at(999), at(1_000), at(3_000)], query);
    expect(cells.map(({ cell, count }) => [cell, count])).toEqual([
      [0, 2],
      [1, 1],
      [3, 2],
    ]);
    // An axis without a length, or without cells, has one.
    expect(cellsOf([at(0)], { from: NOW, to: NOW, cells: 0 })).toMatchObject([{ cell: 0 }]);
  });
});

test("the counts of cells sum to the marks, and a cell's worst is one of its marks", () => {
  const mark = fc
    .record({
      time: fc.integer({ min: 0, max: DAY_MS }),
      decision: fc.constantFrom("fired", "caught_up", "skipped", "missed", "by_hand", "backfilled"),
      status: fc.constantFrom(null, "completed", "failed", "stopped", "running"),
    })
    .map(({ time, decision, status }): StripMark => ({
      slot: new Date(NOW + time).toISOString(),
      decision: decision as StripMark["decision"],
      because: null,
      schedule: null,
      run: null,
      status,
      decidedAt: null,
      lateMs: null,
      durationMs: null,
    }));
  fc.assert(
    fc.property(
      fc.array(mark, { maxLength: 200 }),
      fc.integer({ min: 1, max: 500 }),
      (marks, count) => {
        const cells = cellsOf(marks, { from: NOW, to: NOW + DAY_MS, cells: count });
        expect(cells.reduce((sum, cell) => sum + cell.count, 0)).toBe(marks.length);
        expect(new Set(cells.map(({ cell }) => cell)).size).toBe(cells.length);
        for (const { cell, worst } of cells) {
          expect(cell).toBeGreaterThanOrEqual(0);
          expect(cell).toBeLessThan(count);
          expect(marks).toContain(worst);
        }
      },
    ),
  );
});
