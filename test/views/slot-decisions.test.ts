import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { expect, it, onTestFinished, vi } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { slotDecisions } from "../../src/views/slot-decisions.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();

function decisions(events: readonly HandEvent[], from: number, until: number): string[] {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [loaded("* * * * *"), ...events], at(0));
  return slotDecisions(new RunStore(runs), "p", Date.parse(at(from)), Date.parse(at(until))).map(
    ({ decision, slot, schedule }) =>
      [decision, slot?.slice(11, 16), ...(schedule === null ? [] : [schedule])].join(" "),
  );
}
const fired = (minute: number, more: object = {}): HandEvent => ({
  type: "slot.fired",
  slot: at(minute),
  run: `p@2026112${minute}`,
  ...more,
});
const missed = (minute: number, more: object = {}): HandEvent => ({
  type: "slot.missed",
  slot: at(minute),
  because: "no daemon was up",
  ...more,
});

it("a slot that was decided twice has one answer, the newest", () => {
  expect(decisions([missed(1), fired(1)], 1, 1)).toEqual(["fired 02:01"]);
  expect(decisions([fired(1), missed(1)], 1, 1)).toEqual(["missed 02:01"]);
});

it("a slot of a stretch that was decided before it has one answer, the newest", () => {
  expect(decisions([fired(2), missed(1, { until: at(5) })], 2, 2)).toEqual(["missed 02:02"]);
  expect(decisions([missed(1, { until: at(5) }), fired(2)], 2, 2)).toEqual(["fired 02:02"]);
});

it("a stretch stands for the slots of schedules of their own, too", () => {
  const of = (name: string, cron: string): unknown => ({ name, cron, params: { day: name } });
  const own = [of("x", "*/2 * * * *"), of("y", "*/3 * * * *")];
  const stretch = missed(1, { until: at(8) });
  const { runs } = tempRoot();
  writePipeline(runs, "p", [{ ...loaded("* * * * *"), schedules: own }, stretch], at(0));
  const told = (from: number, until: number): string[] =>
    slotDecisions(new RunStore(runs), "p", Date.parse(at(from)), Date.parse(at(until))).map(
      ({ decision, slot, schedule }) => `${decision} ${slot?.slice(11, 16)} ${schedule}`,
    );
  expect(told(4, 4)).toEqual(["missed 02:04 x"]);
  expect(told(6, 6).toSorted()).toEqual(["missed 02:06 x", "missed 02:06 y"]);
  expect(told(3, 8)).toEqual(["missed 02:03 y", "missed 02:04 x"]);
  expect(told(5, 5)).toEqual([]);
});

it("the slots of two schedules at one time are two answers, and so is each backfill", () => {
  const events = [
    fired(1, { schedule: "x" }),
    fired(1, { schedule: "y" }),
    { type: "slot.backfilled", slot: at(1), run: "p@1-b1" },
    { type: "slot.backfilled", slot: at(1), run: "p@1-b2" },
  ];
  expect(decisions(events, 1, 1)).toEqual([
    "fired 02:01 x",
    "fired 02:01 y",
    "backfilled 02:01",
    "backfilled 02:01",
  ]);
});

it("a slot at either end of the time asked for is among the answers, and none beyond", () => {
  expect(decisions([fired(1), fired(2), fired(3), fired(4)], 2, 3)).toEqual([
    "fired 02:02",
    "fired 02:03",
  ]);
  expect(decisions([missed(1, { until: at(2) })], 2, 3)).toEqual(["missed 02:02"]);
});

const checkpoint = (more: object = {}): HandEvent => ({
  type: "pipeline.checkpoint",
  through: at(0),
  paused: false,
  schedules: [],
  active: [],
  queued: [],
  last: null,
  counts: {},
  ...more,
});

it("a slot that fired while the clock was ahead is found before a checkpoint that names it", () => {
  const ahead = fired(200);
  const stepped = { type: "clock.stepped", from: at(201), to: at(0), through: at(0) };
  const packed = { "": (Date.parse(at(200)) / 1_000).toString(36) };
  const named = checkpoint({ firedAhead: packed });
  expect(decisions([ahead, stepped, named], 200, 200)).toEqual(["fired 05:20"]);
  const decided = checkpoint({ decided: { [at(200)]: "fired" } });
  expect(decisions([ahead, stepped, decided], 200, 200)).toEqual(["fired 05:20"]);
  const covered = checkpoint({ covered: [[Date.parse(at(190)), Date.parse(at(210))]] });
  const stretch = missed(190, { until: at(210) });
  expect(decisions([stretch, covered], 200, 200)).toEqual(["missed 05:20"]);
  // No checkpoint names it: the clock has not come so far again, and it is decided again.
  expect(decisions([ahead, stepped, checkpoint()], 200, 200)).toEqual([]);
});

it("a backfill of a slot that was still to come is found before later checkpoints", () => {
  const backfilled = { type: "slot.backfilled", slot: at(1_000), run: "p@1000-b1" };
  const later = checkpoint({ at: at(10), counts: { backfilled: 1 } });
  const events = [backfilled, missed(1), later, missed(2), { ...later, at: at(20) }];
  expect(decisions([...events, fired(1_000)], 1_000, 1_000)).toEqual([
    "backfilled 18:40",
    "fired 18:40",
  ]);
});

it("reads no further back than the checkpoint before the time that is asked for", () => {
  const { runs } = tempRoot();
  const old = Array.from({ length: 20_000 }, () => missed(1));
  writePipeline(runs, "p", [loaded("* * * * *"), ...old, checkpoint(), fired(1_000)], at(0));
  const real = fs.readSync;
  let bytes = 0;
  const counted = vi.spyOn(fs, "readSync").mockImplementation((...words: unknown[]) => {
    const read = Reflect.apply(real, fs, words) as number;
    bytes += read;
    return read;
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    counted.mockRestore();
    syncBuiltinESMExports();
  });
  const time = Date.parse(at(1_000));
  expect(slotDecisions(new RunStore(runs), "p", time, time)).toHaveLength(1);
  expect(fs.statSync(new RunStore(runs).pipelineLedger("p")).size).toBeGreaterThan(2_000_000);
  expect(bytes).toBeLessThanOrEqual(131_072);
});

it("a slot is found before a checkpoint that the clock wrote within an hour before it", () => {
  // Nothing tells that the clock went back between the two lines.
  const ahead = { ...fired(200), at: at(200) };
  for (const [minute, found] of [
    [140, ["fired 05:20"]],
    [139, []],
  ] as const)
    expect(decisions([ahead, checkpoint({ at: at(minute) })], 200, 200)).toEqual(found);
});
