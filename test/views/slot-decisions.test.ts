import { expect, it } from "vitest";
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
