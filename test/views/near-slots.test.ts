/** Where the slots of a schedule end that has `stopAfter`. */
import { expect, it } from "vitest";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { scheduleKey } from "../../src/core/schedule/schedule.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { endOfSlots } from "../../src/views/near-slots.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const LAST = "2026-11-22T01:00:00.000Z";
const schedule = { ...scheduleOf({ cron: "0 * * * *" }), stopAfter: 1 };
const key = scheduleKey(schedule);
const fired: HandEvent = { type: "slot.fired", slot: LAST, run: "p@20261122T010000Z" };

const checkpoint = (ran: unknown): HandEvent => ({
  type: "pipeline.checkpoint",
  paused: false,
  schedules: [],
  active: [],
  queued: [],
  counts: {},
  ...(ran === undefined ? {} : { ran }),
});

/** The end of the slots by a ledger of these lines, where all runs of the schedule are over. */
function endBy(...lines: HandEvent[]): string | undefined {
  const { runs } = tempRoot();
  writePipeline(runs, "p", lines);
  const state = { ...emptyPipelineState(), ran: { [key]: 1 } };
  const slot = Date.parse("2026-11-23T01:00:00Z");
  return endOfSlots(new RunStore(runs), "p", state, { slot, schedule });
}

const ENDS = "its schedule stops after 1 slot";

it("names the last slot that fired, however many checkpoints count it", () => {
  const counts = checkpoint({ [key]: 1 });
  expect(endBy(fired, counts, counts)).toBe(`${ENDS}, the last of them ${LAST}`);
});

it("reads no further back than a checkpoint that counts no run of the schedule", () => {
  expect(endBy(fired, checkpoint({}))).toBe(ENDS);
  expect(endBy(fired, checkpoint({ [key]: 0, other: 3 }))).toBe(ENDS);
});

it("reads on past a checkpoint that tells no counts", () => {
  expect(endBy(fired, checkpoint(undefined))).toBe(`${ENDS}, the last of them ${LAST}`);
});
