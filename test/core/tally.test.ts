import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../../src/core/pipeline-state.ts";
import {
  addTally,
  copyOfTally,
  DURATION_BOUNDS,
  emptyTally,
  LATENESS_BOUNDS,
  tallyRun,
  tallySlot,
  type Tally,
} from "../../src/core/tally.ts";
import { anyEvent, countersOf } from "../support/counted-events.ts";

const T0 = Date.UTC(2026, 10, 23);
const iso = (seconds: number): string => new Date(T0 + seconds * 1_000).toISOString();

function foldEvents(events: readonly PipelineEvent[], state = emptyPipelineState()): PipelineState {
  for (const event of events) {
    const seq = state.lastSeq + 1;
    evolvePipeline(state, { ...event, seq, b: seq, at: iso(seq) });
  }
  return state;
}

const run = (id: string, more: object = {}): PipelineEvent => ({
  type: "run.finished",
  run: id,
  status: "completed",
  durationMs: 2_000,
  ...more,
});

it("a copy of a tally shares nothing with it, and no time is below zero", () => {
  const events: PipelineEvent[] = [
    { type: "slot.fired", slot: iso(1), run: "p@1", latenessMs: -5 },
    run("p@1", { durationMs: -3, steps: { completed: 2 }, retries: 1 }),
  ];
  const { tally } = foldEvents(events);
  expect([tally.durations.sumMs, tally.lateness.sumMs]).toEqual([0, 0]);
  const before = JSON.stringify(tally);
  const copy = copyOfTally(tally);
  expect(JSON.stringify(copy)).toBe(before);
  addTally(copy, copy);
  tallyRun(copy, { run: "p@2", at: iso(9), status: "completed", durationMs: 7 });
  tallyRun(copy, { run: "p@3", at: iso(9), status: "failed", durationMs: 7 });
  tallySlot(copy, "fired", 7);
  expect(JSON.stringify(tally)).toBe(before);
});

describe("what a pipeline's ledger counts", () => {
  it("slots by decision, and how late they fired", () => {
    const { slots, lateness } = foldEvents([
      { type: "slot.fired", slot: iso(1), run: "p@1", latenessMs: 4 },
      { type: "slot.fired", slot: iso(2), run: "p@2", latenessMs: 10 },
      { type: "slot.fired", slot: iso(3), run: "p@3" },
      { type: "slot.caught_up", slot: iso(4), run: "p@4", latenessMs: 90_000_000 },
      { type: "slot.missed", slot: iso(5), because: "down" },
      { type: "slot.skipped", slot: iso(6), because: "overlap" },
      { type: "slot.backfilled", slot: iso(5), run: "p@5-b1" },
    ]).tally;
    expect(slots).toEqual({ fired: 3, caught_up: 1, missed: 1, skipped: 1, backfilled: 1 });
    expect(lateness.sumMs).toBe(90_000_014);
    expect(lateness.counts[0]).toBe(2);
    expect(lateness.counts[LATENESS_BOUNDS.length]).toBe(1);
  });

  it("runs by status and trigger, their steps and retries, and how long they took", () => {
    const { runs, steps, retries, durations, ended } = foldEvents([
      run("p@20261123T020000Z", { trigger: "catch_up", steps: { completed: 2, cached: 1 } }),
      run("p@20261123T030000Z", {
        status: "failed",
        trigger: "schedule",
        steps: { failed: 1, skipped: 2 },
        retries: 3,
        durationMs: 90_000,
        workedMs: 300,
      }),
    ]).tally;
    expect(runs).toEqual({ "completed catch_up": 1, "failed schedule": 1 });
    expect(steps).toEqual({ completed: 2, cached: 1, failed: 1, skipped: 2 });
    expect(retries).toBe(3);
    expect(durations.sumMs).toBe(2_300);
    expect(durations.counts[DURATION_BOUNDS.indexOf(0.5)]).toBe(1);
    expect(ended).toEqual({ completed: iso(1), failed: iso(2) });
  });

  it("takes the trigger from the run's id where an older release did not note it", () => {
    const { runs } = foldEvents([
      run("p@20261123T020000Z"),
      run("p@20261123T020000Z.weekly"),
      run("p@20261123T101512.481Z-m"),
      run("p@20261123T020000Z-b1"),
      run("p@20261123T020000Z-b1-r2"),
      run("no id"),
    ]).tally;
    expect(runs).toEqual({
      "completed schedule": 2,
      "completed manual": 1,
      "completed backfill": 1,
      "completed rerun": 1,
      "completed unknown": 1,
    });
  });

  it("begins with an older release's counts", () => {
    const { tally: _, ...old } = checkpointOf(
      foldEvents([
        { type: "slot.fired", slot: iso(1), run: "p@1" },
        { type: "slot.caught_up", slot: iso(2), run: "p@2", latenessMs: 5_000 },
        run("p@20261123T020000Z"),
        run("p@20261123T030000Z", { status: "failed" }),
      ]),
    ) as ReturnType<typeof checkpointOf> & { tally: unknown };
    const { tally } = foldEvents([old, run("p@20261123T040000Z", { trigger: "schedule" })]);
    expect(tally).toMatchObject({
      since: iso(1),
      slots: { fired: 1, caught_up: 1 },
      runs: { "completed unknown": 1, "failed unknown": 1, "completed schedule": 1 },
      ended: { failed: iso(4), completed: iso(2) },
    });
    expect(tally.since).toBe(iso(1));
  });

  it("never goes back, and a checkpoint anywhere stands for all lines before it", () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 60 }),
        fc.array(fc.nat({ max: 59 }), { maxLength: 5 }),
        (events, cuts) => {
          const whole = emptyPipelineState();
          let rest = emptyPipelineState();
          let before = countersOf(whole.tally);
          for (const [index, event] of events.entries()) {
            foldEvents([event], whole);
            foldEvents([event], rest);
            if (cuts.includes(index)) {
              const line = JSON.parse(JSON.stringify(checkpointOf(rest))) as PipelineEvent;
              rest = foldEvents([line]);
              rest.lastSeq = whole.lastSeq;
            }
            expect(rest.tally).toEqual(whole.tally);
            const now = countersOf(whole.tally);
            for (const [name, value] of Object.entries(before))
              expect(now[name]).toBeGreaterThanOrEqual(value);
            before = now;
          }
        },
      ),
    );
  });
});

it("of several pipelines is what one would have counted that had all of their lines", () => {
  fc.assert(
    fc.property(fc.array(fc.array(anyEvent, { maxLength: 20 }), { maxLength: 4 }), (ledgers) => {
      const all = emptyTally();
      const one = emptyPipelineState();
      for (const lines of ledgers) {
        const { tally } = foldEvents(lines, { ...emptyPipelineState(), lastSeq: one.lastSeq });
        const before = JSON.stringify(tally);
        addTally(all, tally);
        expect(JSON.stringify(tally)).toBe(before);
        foldEvents(lines, one);
      }
      // Since when it counts is said of each pipeline alone.
      const { since: _, ...counted } = one.tally;
      expect(all).toEqual(counted);
    }),
    { numRuns: 50 },
  );
});

it("of several pipelines has the newest end of each status, whichever is added first", () => {
  const endedAt = (completed: string): Tally => ({ ...emptyTally(), ended: { completed } });
  for (const order of [
    [iso(1), iso(2)],
    [iso(2), iso(1)],
  ]) {
    const all = emptyTally();
    for (const at of order) addTally(all, endedAt(at));
    expect(all.ended).toEqual({ completed: iso(2) });
  }
});
