/** The slot that has been due the longest without a decision. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
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

describe("over all pipelines", () => {
  const hourly: HandEvent = { ...loaded("0 * * * *"), at: day(20, 1) };
  const skipped = (date: number, hour: number): HandEvent => ({
    type: "slot.skipped",
    at: day(date, hour),
    slot: day(date, hour),
    because: "x",
    through: day(date, hour),
  });
  const at = (date: number, hour: number, more = 0): number => Date.parse(day(date, hour)) + more;

  it("is the one that was due first, whichever ledger is read first", async () => {
    for (const [p, q] of [
      ["p", "q"],
      ["q", "p"],
    ] as const) {
      const { runs } = tempRoot();
      writePipeline(runs, p, [LOADED, fired(21)]);
      writePipeline(runs, q, [hourly, skipped(22, 0)]);
      const look = new OldestUndecided(new RunStore(runs));
      expect(await look.at(at(22, 3))).toEqual({ pipeline: q, due: at(22, 1) });
      writePipeline(runs, q, [hourly, skipped(22, 2)]);
      expect(await look.at(at(22, 3))).toEqual({ pipeline: p, due: at(22, 2) });
      // One that is gone is no longer late.
      rmSync(join(runs, p), { recursive: true });
      expect(await look.at(at(22, 3))).toEqual({ pipeline: q, due: at(22, 3) });
    }
  });

  it.each<[string, readonly HandEvent[] | string]>([
    ["was removed", [LOADED, { type: "pipeline.removed", at: day(21) }]],
    ["was never loaded", [{ type: "pipeline.invalid", errors: ["no"] }]],
    ["has no schedule", [{ ...LOADED, schedules: [] }]],
    ["has ended", [{ ...loaded("0 2 * * *", { endTime: day(20, 3) }), at: day(20, 2) }]],
    ["cannot be read", "no ledger\n"],
  ])("is none of one that %s", async (_, events) => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", typeof events === "string" ? [LOADED] : events);
    const store = new RunStore(runs);
    if (typeof events === "string") writeFileSync(store.pipelineLedger("p"), events.repeat(9));
    writePipeline(runs, "q", [LOADED, fired(22)]);
    const look = new OldestUndecided(store);
    expect(await look.at(at(24, 0))).toEqual({ pipeline: "q", due: at(23, 2) });
  });

  it("reads a ledger that grew once its next slot is due, or after ten minutes", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    writePipeline(runs, "p", [LOADED, fired(21)]);
    const look = new OldestUndecided(store);
    const now = at(21, 12);
    expect(await look.at(now)).toBeUndefined();
    // By another schedule it is late already; nobody need know that at once.
    writePipeline(runs, "p", [LOADED, fired(21), { ...hourly, at: day(21, 3) }]);
    expect(await look.at(now + 599_999)).toBeUndefined();
    expect(await look.at(now + 600_000)).toEqual({ pipeline: "p", due: at(21, 3) });
    // What is late is looked at each time.
    writePipeline(runs, "p", [LOADED, fired(21), { ...hourly, at: day(21, 3) }, skipped(21, 11)]);
    expect(await look.at(now + 600_001)).toEqual({ pipeline: "p", due: at(21, 12) });
    writePipeline(runs, "p", [LOADED, fired(21), { ...hourly, at: day(21, 3) }, skipped(21, 12)]);
    expect(await look.at(now + 600_002)).toBeUndefined();
    expect(await look.at(at(21, 13))).toEqual({ pipeline: "p", due: at(21, 13) });
  });

  it("is found among more pipelines than are looked at in one turn", async () => {
    const { runs } = tempRoot();
    for (let nth = 0; nth < 45; nth += 1)
      writePipeline(runs, `p${nth}`, [LOADED, fired(nth === 41 ? 20 : 21)]);
    const look = new OldestUndecided(new RunStore(runs));
    const first = { pipeline: "p41", due: at(21, 2) };
    expect([await look.at(at(21, 2)), await look.at(at(22, 3))]).toEqual([first, first]);
  });
});
