/** How far back a pipeline's ledger is read, and which marks its lines give, at each bound. */
import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { MINUTE_MS } from "../../src/core/time.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { recentLines, slotMarks } from "../../src/views/slot-marks.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const FROM = Date.UTC(2026, 10, 23, 2);
const iso = (minute: number): string => new Date(FROM + minute * MINUTE_MS).toISOString();
const stamp = (minute: number): string => iso(minute).slice(0, 19).replaceAll(/[-:]/g, "");
const idOf = (minute: number): string => `p@${stamp(minute)}Z`;
const byHand = (minute: number): string => `p@${stamp(minute)}.000Z-m`;

/** A slot that was skipped: its line has the slot's time. */
const skipped = (minute: number, at = minute): HandEvent => ({
  type: "slot.skipped",
  at: iso(at),
  slot: iso(minute),
  because: "it is paused",
});
const fired = (minute: number): HandEvent => ({
  type: "slot.fired",
  at: iso(minute),
  slot: iso(minute),
  run: idOf(minute),
});
const started = (minute: number, run: string): HandEvent => ({
  type: "run.started",
  at: iso(minute),
  run,
});
const many = (count: number, line: (nth: number) => HandEvent): HandEvent[] =>
  Array.from({ length: count }, (_, nth) => line(nth));

function storeOf(lines: readonly HandEvent[]): RunStore {
  const { runs } = tempRoot();
  writePipeline(runs, "p", lines);
  return new RunStore(runs);
}

/** The slots, else the runs, of the lines that are read. */
function read(lines: readonly HandEvent[], more: { least?: number; most?: number } = {}) {
  const found = recentLines(storeOf(lines), "p", { from: FROM, ...more });
  const named = found.lines.map((line) => line["slot"] ?? line["run"] ?? line["type"]);
  return { named, isCut: found.isCut };
}

describe("the lines that are read back", () => {
  it("begin with the first of the time that was asked for, to the millisecond", () => {
    const at = (ms: number): HandEvent => ({
      ...skipped(0),
      at: new Date(FROM + ms).toISOString(),
    });
    expect(read([at(-1), at(0), at(1)]).named).toHaveLength(2);
  });

  it.each([
    [64, true],
    [65, false],
  ])("reach over %i older lines in a row: %s", (count, isFound) => {
    const lines = [skipped(1), ...many(count, (nth) => skipped(-nth - 1)), skipped(2)];
    expect(read(lines).named).toEqual(isFound ? [iso(1), iso(2)] : [iso(2)]);
    expect(read(lines.slice(0, -1)).named).toEqual(isFound ? [iso(1)] : []);
  });

  it("reach over as many again behind a line of that time", () => {
    const older = many(60, (nth) => skipped(-nth - 1));
    const lines = [skipped(1), ...older, skipped(2), ...older, skipped(3)];
    expect(read(lines).named).toEqual([iso(1), iso(2), iso(3)]);
  });

  it("go on for marks that are wanted, however old, and no further", () => {
    const calm = many(100, (nth) => ({ type: "run.overdue", at: iso(-nth), run: idOf(-nth) }));
    const lines = [skipped(-300), skipped(-200), skipped(-199), ...calm, skipped(1)];
    expect(read(lines, { least: 1 }).named).toEqual([iso(1)]);
    expect(read(lines, { least: 2 }).named).toEqual([iso(-199), iso(1)]);
    expect(read(lines, { least: 3 }).named).toEqual([iso(-200), iso(-199), iso(1)]);
    expect(read(lines, { least: 9 }).named).toHaveLength(4);
  });

  it.each<[string, HandEvent, boolean]>([
    ["a slot that fired", fired(1), true],
    ["a slot that was passed over", skipped(1), true],
    ["a backfill", { ...fired(1), type: "slot.backfilled", run: `${idOf(1)}-b1` }, false],
    ["a slot's run", started(1, idOf(1)), false],
    ["a run by hand", started(1, byHand(1)), true],
    ["a re-run", started(1, `${idOf(1)}-r1`), true],
    ["a run by hand that waits", { ...started(1, byHand(1)), type: "run.queued" }, false],
    ["the end of a run by hand", { ...started(1, byHand(1)), type: "run.finished" }, false],
    ["a version of the file", { type: "pipeline.invalid", at: iso(1), errors: [] }, false],
  ])("count %s as a mark or not", (_, line, isMark) => {
    const { named } = read([skipped(-5), line], { least: 1 });
    expect(named).toHaveLength(isMark ? 1 : 2);
  });

  it("leave out what tells of no slot, no run and no version", () => {
    const at = iso(1);
    const lines = [
      { type: "pipeline.checkpoint", at, through: at },
      { type: "slot.late", at, slot: at },
      { type: "run.overdue", at, run: idOf(1) },
      { type: "backfill.started", at },
      { type: "clock.stepped", at, from: at, to: at, through: at },
      { type: "pipeline.paused", at },
    ];
    expect(read(lines).named).toEqual(["clock.stepped", "pipeline.paused"]);
  });

  it("are cut at the most, and are not where only older ones are left out", () => {
    const lines = [skipped(-1), skipped(1), skipped(2), skipped(3)];
    expect(read(lines, { most: 2 })).toEqual({ named: [iso(2), iso(3)], isCut: true });
    expect(read(lines, { most: 3 })).toEqual({ named: [iso(1), iso(2), iso(3)], isCut: false });
    expect(read(lines, { most: 3, least: 9 })).toMatchObject({ isCut: false });
    expect(read(lines, { most: 4, least: 9 }).named).toHaveLength(4);
  });

  it("say where the newest whole line of the newest file ends", () => {
    const store = storeOf([skipped(1), skipped(2)]);
    const path = store.pipelineLedger("p");
    const { ino, size } = statSync(path);
    const end = { inode: ino, offset: size, seq: 2 };
    expect(recentLines(store, "p", { from: FROM }).end).toEqual(end);
    // Also where no line is of that time.
    expect(recentLines(store, "p", { from: FROM + 9 * MINUTE_MS })).toEqual({
      lines: [],
      end,
      isCut: false,
    });
    expect(recentLines(store, "none", { from: FROM })).toEqual({
      lines: [],
      end: undefined,
      isCut: false,
    });
  });
});

describe("the marks", () => {
  const marksOf = (
    lines: readonly HandEvent[],
    stretch: { from?: number; to?: number; older?: number },
    more: { active?: string[]; queued?: string[] } = {},
  ) => {
    const { active = [], queued = [] } = more;
    const marked = {
      store: storeOf(lines),
      pipeline: "p",
      active: new Set(active),
      queued: new Set(queued),
    };
    const { from = 0, to = 60, older = 0 } = stretch;
    return slotMarks(marked, lines, {
      from: FROM + from * MINUTE_MS,
      to: FROM + to * MINUTE_MS,
      older,
    });
  };
  const slotsOf = (...given: Parameters<typeof marksOf>): string[] =>
    marksOf(...given).map(({ slot }) => slot!);

  it("are those of the stretch, both ends too, and so many older ones", () => {
    const lines = [-3, -2, -1, 0, 1, 60, 61].map((minute) => skipped(minute));
    expect(slotsOf(lines, {})).toEqual([0, 1, 60].map(iso));
    expect(slotsOf(lines, { older: 2 })).toEqual([-2, -1, 0, 1, 60].map(iso));
    expect(slotsOf(lines, { older: 9 })).toEqual([-3, -2, -1, 0, 1, 60].map(iso));
    expect(slotsOf(lines, { from: 61, to: 90, older: 1 })).toEqual([60, 61].map(iso));
    expect(slotsOf(lines, { from: 62, to: 90, older: 2 })).toEqual([60, 61].map(iso));
    expect(slotsOf(lines, { from: 62, to: 90 })).toEqual([]);
  });

  it("of a stretch of missed slots are each of its slots, and so many older ones", () => {
    const missed = {
      type: "slot.missed",
      at: iso(30),
      slot: iso(-20),
      until: iso(20),
      because: "no daemon was up",
    };
    const lines = [loaded("*/5 * * * *"), missed];
    expect(slotsOf(lines, {})).toEqual([0, 5, 10, 15, 20].map(iso));
    expect(slotsOf(lines, { older: 2 })).toEqual([-10, -5, 0, 5, 10, 15, 20].map(iso));
    expect(slotsOf(lines, { older: 99 })).toHaveLength(9);
    expect(slotsOf(lines, { from: 25, older: 3 })).toEqual([10, 15, 20].map(iso));
    expect(slotsOf(lines, { from: 25 })).toEqual([]);
    expect(slotsOf(lines, { from: -40, to: -20 })).toEqual([iso(-20)]);
    // A slot that ran is not missed by a later line about its stretch.
    expect(marksOf([lines[0]!, fired(5), missed], {}).map(({ decision }) => decision)).toEqual([
      "missed",
      "fired",
      "missed",
      "missed",
      "missed",
    ]);
    // Without schedules the line is all that is known.
    expect(slotsOf([missed], {})).toEqual([iso(0)]);
    expect(slotsOf([missed], { from: 25, older: 1 })).toEqual([iso(-20)]);
  });

  it("have the newest decision of a slot, unless the clock went back before it", () => {
    const back = { type: "clock.stepped", at: iso(5), from: iso(9), to: iso(5), through: iso(5) };
    const lines = [skipped(5), skipped(6), fired(7), { ...skipped(8), type: "slot.missed" }, back];
    expect(slotsOf(lines, {})).toEqual([5, 7].map(iso));
    const again = marksOf([...lines, fired(6), fired(5)], {});
    expect(again.map(({ slot, decision }) => [slot, decision])).toEqual([
      [iso(5), "fired"],
      [iso(6), "fired"],
      [iso(7), "fired"],
    ]);
  });

  it("of a slot have its schedule, its lateness, and how its run stands or ended", () => {
    const own = { ...fired(1), schedule: "nightly", latenessMs: 7 };
    const late = { ...fired(2), type: "slot.caught_up", at: iso(4), because: "it was down" };
    const early = { ...fired(3), at: iso(2) };
    const end = { type: "run.finished", at: iso(6), run: idOf(2), durationMs: 9, because: "b" };
    const lines = [own, late, early, { ...end, status: "failed" }];
    const given = { active: [idOf(1), idOf(3)], queued: [idOf(3)] };
    expect(marksOf(lines, {}, given)).toMatchObject([
      { schedule: "nightly", lateMs: 7, status: "running", because: null, durationMs: null },
      { schedule: null, lateMs: 120_000, status: "failed", because: "b", durationMs: 9 },
      { lateMs: 0, status: "initializing" },
    ]);
    // A run that completed keeps why it began.
    const [, whole] = marksOf([own, late, { ...end, status: "completed" }], {});
    expect(whole).toMatchObject({ status: "completed", because: "it was down", durationMs: 9 });
    expect(marksOf([skipped(1)], {})).toMatchObject([{ lateMs: null, status: null, run: null }]);
  });

  it("of a backfill stand beside its slot's; those of runs by hand at their beginning", () => {
    const filled = (nth: number): HandEvent => ({
      ...fired(1),
      type: "slot.backfilled",
      at: iso(9),
      run: `${idOf(1)}-b${nth}`,
    });
    const rerun = `${idOf(1)}-r1`;
    const lines = [fired(1), filled(1), filled(2), filled(2), started(3, byHand(2))];
    const marks = marksOf([...lines, started(4, rerun), started(5, rerun)], {});
    expect(marks.map(({ slot, decision, because }) => [slot, decision, because])).toEqual([
      [iso(1), "fired", null],
      [iso(1), "backfilled", null],
      [iso(1), "backfilled", null],
      [iso(2), "by_hand", null],
      [iso(4), "by_hand", `a re-run of ${idOf(1)}`],
    ]);
    // The run of a slot has its mark already, and what is no run has none.
    expect(marksOf([started(1, idOf(1)), started(2, "x")], {})).toEqual([]);
  });
});
