/** Slots counted, the reasons of those that did not run, and which mark stands for a cell. */
import { describe, expect, it } from "vitest";
import type { StripMark } from "../../src/views/overview.ts";
import { cellsOf, strangeDecision, WANTED } from "../../src/views/slot-grid-reading.ts";
import { addSums, isLate, mergeReasons, reasonsOf, sumMarks } from "../../src/views/slot-sums.ts";

const slot = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
const mark = (decision: string, more: Partial<StripMark> = {}): StripMark =>
  ({
    slot: slot(0),
    schedule: null,
    decision,
    run: decision === "skipped" || decision === "missed" ? null : "p@1",
    status: null,
    lateMs: null,
    because: null,
    ...more,
  }) as StripMark;

describe("slots are counted", () => {
  it("once each, by what became of them: runs by hand and backfills are none", () => {
    const marks = [
      mark("fired", { status: "completed" }),
      mark("fired", { status: "failed", lateMs: 1_001 }),
      mark("caught_up", { status: "completed" }),
      // A shadow's slot has no run.
      mark("fired", { run: null, status: "failed", lateMs: 9_000 }),
      mark("skipped", { status: "failed" }),
      mark("missed"),
      mark("by_hand", { status: "failed" }),
      mark("backfilled", { status: "failed" }),
    ];
    const sums = sumMarks(marks);
    expect(sums).toEqual({ total: 6, ran: 3, late: 2, failed: 1, skipped: 2, missed: 1 });
    expect(addSums(sums, { total: 1, ran: 2, late: 3, failed: 4, skipped: 5, missed: 6 })).toEqual({
      total: 7,
      ran: 5,
      late: 5,
      failed: 5,
      skipped: 7,
      missed: 7,
    });
  });

  it.each<[string, number | null, boolean]>([
    ["fired", 1_000, false],
    ["fired", 1_001, true],
    ["fired", null, false],
    ["caught_up", 0, true],
    ["backfilled", 9_000, false],
    ["by_hand", 9_000, false],
  ])("and %s after %j ms is late: %s", (decision, lateMs, is) => {
    expect(isLate(mark(decision, { lateMs }))).toBe(is);
  });
});

describe("the reasons of slots that did not run", () => {
  it("are one where they differ by the run's name alone, from the first slot to the last", () => {
    const run = (nth: number): string => `p@20261123T020${nth}00.000Z`;
    const skipped = (minute: number, because: string | null): StripMark =>
      mark("skipped", { slot: slot(minute), because });
    const marks = [
      skipped(2, `run ${run(1)} goes on`),
      skipped(1, `run ${run(0)} goes on`),
      skipped(3, `run ${run(2)} goes on`),
      mark("missed", { slot: slot(5), because: "down" }),
      mark("missed", { slot: slot(4), because: null }),
      mark("fired", { because: "it is due" }),
      mark("backfilled", { slot: slot(5) }),
      mark("backfilled", { slot: slot(2), schedule: "hot" }),
    ];
    const common = { backfilled: 0, pipelines: ["p"] };
    expect(reasonsOf("p", marks)).toEqual([
      {
        ...common,
        decision: "skipped",
        because: "the run before goes on",
        slots: 3,
        from: slot(1),
        to: slot(3),
      },
      {
        ...common,
        decision: "missed",
        because: "down",
        slots: 1,
        backfilled: 1,
        from: slot(5),
        to: slot(5),
      },
      {
        ...common,
        decision: "missed",
        because: "no reason was recorded",
        slots: 1,
        from: slot(4),
        to: slot(4),
      },
    ]);
  });

  it("of several pipelines name each once, and differ by what was decided", () => {
    const of = (pipeline: string, decision: "skipped" | "missed") =>
      reasonsOf(pipeline, [mark(decision, { because: "x" })]);
    const merged = mergeReasons([
      ...of("p", "missed"),
      ...of("q", "missed"),
      ...of("p", "missed"),
      ...of("p", "skipped"),
    ]);
    expect(merged.map(({ decision, slots, pipelines }) => [decision, slots, pipelines])).toEqual([
      ["missed", 3, ["p", "q"]],
      ["skipped", 1, ["p"]],
    ]);
  });
});

describe("a cell", () => {
  const from = Date.parse(slot(0));
  const query = { from, to: from + 600_000 };
  /** The worst first. */
  const RANKS = [
    mark("fired", { status: "failed" }),
    mark("missed"),
    mark("fired", { status: "stopped" }),
    mark("skipped"),
    mark("fired", { status: "completed", lateMs: 5_000 }),
    mark("caught_up", { status: "completed" }),
    mark("fired", { status: "running" }),
    mark("fired", { status: "completed" }),
  ];

  it("shows the worst of its marks, whichever comes first", () => {
    for (const [worse, one] of RANKS.entries())
      for (const other of RANKS.slice(worse + 1))
        for (const marks of [
          [one, other],
          [other, one],
        ])
          expect(cellsOf(marks, { ...query, cells: 1 })[0]).toEqual({
            cell: 0,
            count: 2,
            worst: one,
          });
  });

  it("shows the newest of marks that are equally bad", () => {
    const [old, young] = [mark("missed"), mark("missed", { slot: slot(1) })];
    expect(cellsOf([old, young], { ...query, cells: 1 })[0]!.worst).toBe(young);
    const waits = mark("fired", { status: "initializing" });
    expect(cellsOf([RANKS[6]!, waits], { ...query, cells: 1 })[0]!.worst).toBe(waits);
  });

  it("holds its first moment; the last cell holds the end too, and there is one at least", () => {
    const at = (minute: number, cells: number): number =>
      cellsOf([mark("missed", { slot: slot(minute) })], { ...query, cells })[0]!.cell;
    expect([at(0, 5), at(1, 5), at(2, 5), at(9, 5), at(10, 5)]).toEqual([0, 0, 1, 4, 4]);
    expect([at(10, 0), at(10, -1)]).toEqual([0, 0]);
    const none = { from, to: from, cells: 5 };
    expect(cellsOf([mark("missed")], none)[0]!.cell).toBe(0);
  });
});

it("the first word that is no decision is named, among several", () => {
  expect([undefined, "", ...WANTED, WANTED.join(",")].map(strangeDecision)).toEqual(
    Array.from({ length: WANTED.length + 3 }, () => undefined),
  );
  expect(["late,nope,neither", "Late", " late"].map(strangeDecision)).toEqual([
    "nope",
    "Late",
    " late",
  ]);
});
