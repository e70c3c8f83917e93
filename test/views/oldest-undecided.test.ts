/** The slot that has been due the longest without a decision. */
import { expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { OldestUndecided } from "../../src/views/oldest-undecided.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const day = (date: number, hour = 2): string =>
  new Date(Date.UTC(2026, 10, date, hour)).toISOString();
const fired = (date: number, at = day(date)): HandEvent => ({
  type: "slot.fired",
  at,
  slot: day(date),
  run: `p@202611${date}T020000Z`,
  through: day(date),
});
/** The clock was set back, and the watermark with it. */
const stepped = (to: number): HandEvent => ({
  type: "clock.stepped",
  at: day(to, 3),
  through: day(to),
});
const LOADED: HandEvent = { ...loaded("0 2 * * *"), at: day(20, 1) };

function oldest(now: string, ...events: HandEvent[]) {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [LOADED, ...events]);
  return new OldestUndecided(new RunStore(runs)).at(Date.parse(now));
}

it("is the first after the watermark that is due, to the millisecond", async () => {
  const due = { pipeline: "p", due: Date.parse(day(22)) };
  expect(await oldest(day(23, 1), fired(21))).toEqual(due);
  expect(await oldest(day(22), fired(21))).toEqual(due);
  const before = new Date(Date.parse(day(22)) - 1).toISOString();
  expect(await oldest(before, fired(21))).toBeUndefined();
});

it("is none that fired before the clock was set back", async () => {
  const back = [fired(21), fired(22), stepped(21)];
  expect(await oldest(day(23, 1), ...back)).toBeUndefined();
  expect(await oldest(day(23, 3), ...back)).toEqual({
    pipeline: "p",
    due: Date.parse(day(23)),
  });
});
