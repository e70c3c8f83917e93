/**
 * What each line of a pipeline's ledger changes in its state, member by member, and nothing else.
 * The state that it meets holds something everywhere, so that what is not reset shows too.
 */
import { expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../../src/core/pipeline-state.ts";
import { changedMembers, seen } from "../support/changed-members.ts";

/** A moment of that day, at 02:MM. */
const at = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();

function happen(state: PipelineState, minute: number, event: object): void {
  const seq = state.lastSeq + 1;
  evolvePipeline(state, { ...(event as PipelineEvent), seq, b: seq, at: at(minute) });
}

const LOADED = {
  type: "pipeline.loaded",
  digest: "d1",
  schedules: [{ cron: "* * * * *" }],
  tz: "UTC",
  tzdata: "2026c",
  file: "p.yaml",
  since: at(0),
  description: "what it is for",
  tags: ["night"],
  params: { day: 1 },
};

/** A pipeline that has something of everything. */
function busy(): PipelineState {
  const state = emptyPipelineState();
  happen(state, 0, LOADED);
  happen(state, 1, { type: "slot.fired", slot: at(1), run: "p@1", through: at(1), latenessMs: 7 });
  happen(state, 1, { type: "run.started", run: "p@1", because: "due" });
  happen(state, 2, {
    type: "run.finished",
    run: "p@1",
    status: "failed",
    because: "no",
    durationMs: 60_000,
  });
  happen(state, 2, { type: "slot.fired", slot: at(2), run: "p@2", through: at(2), latenessMs: 9 });
  happen(state, 2, { type: "run.started", run: "p@2", because: "due" });
  happen(state, 3, { type: "run.queued", run: "p@3", because: "p@2 goes on" });
  happen(state, 3, { type: "slot.skipped", slot: at(3), because: "overlap" });
  happen(state, 3, { type: "pipeline.paused", because: "upkeep", requestId: "r1" });
  happen(state, 3, { type: "pipeline.silenced", until: at(50), because: "upkeep", by: "ann" });
  happen(state, 3, { type: "pipeline.invalid", errors: ["p.yaml:1: no"], file: "p.yaml" });
  happen(state, 3, {
    type: "backfill.started",
    requestId: "b1",
    from: at(0),
    to: at(1),
    which: "all",
    slots: 2,
  });
  happen(state, 3, { type: "ledger.disturbed", because: "somebody wrote into it" });
  happen(state, 3, { type: "runs.pruned", until: at(0), runs: 1 });
  return state;
}

/** Each line gets the next seq, and counts since the last checkpoint. */
const COUNTED = { lastSeq: 15, linesSinceCheckpoint: 15 };
const T = (minute: number): number => Date.parse(at(minute));

it.each<[object, object]>([
  [
    {
      type: "pipeline.loaded",
      digest: "d2",
      schedules: [],
      tz: "Europe/Berlin",
      tzdata: "2027a",
      file: "q.yaml",
      since: at(0),
      tags: ["day"],
      notify: ["ops"],
    },
    {
      schedules: [],
      "about.tags": ["day"],
      "about.notify": ["ops"],
      errors: [],
      digest: "d2",
      tz: "Europe/Berlin",
      tzdata: "2027a",
      file: "q.yaml",
      loadedAt: at(4),
      "about.description": "gone",
      "about.params.day": "gone",
    },
  ],
  [
    { ...LOADED, since: at(4), through: at(4) },
    {
      errors: [],
      decided: {},
      ran: {},
      loadedAt: at(4),
      through: T(4),
      since: T(4),
      [`decided.${at(3)}`]: "gone",
      "ran.": "gone",
    },
  ],
  [{ type: "pipeline.invalid", errors: ["a", "b"], file: "q.yaml" }, { errors: ["a", "b"] }],
  [{ type: "pipeline.removed" }, { errors: [], removed: true }],
  [
    { type: "pipeline.paused", because: "again", requestId: "r2" },
    { requests: ["r1", "b1", "r2"], pausedBecause: "again" },
  ],
  [{ type: "pipeline.paused" }, {}],
  [{ type: "pipeline.resumed" }, { paused: false, pausedBecause: "gone" }],
  [
    { type: "pipeline.silenced", until: at(55) },
    { "silence.until": at(55), "silence.because": "gone", "silence.by": "gone" },
  ],
  [
    { type: "pipeline.silenced" },
    { "silence.until": "gone", "silence.because": "gone", "silence.by": "gone" },
  ],
  [
    { type: "slot.fired", slot: at(4), run: "p@4", through: at(4), latenessMs: 20 },
    {
      "active.p@4.run": "p@4",
      "active.p@4.at": at(4),
      "counts.fired": 3,
      "tally.slots.fired": 3,
      "tally.lateness.counts": [2, 1],
      "tally.lateness.sumMs": 36,
      decided: {},
      "recentlyFired.": "toxmxo,1o,3c",
      "ran.": 3,
      through: T(4),
      [`decided.${at(3)}`]: "gone",
    },
  ],
  [
    { type: "slot.fired", slot: at(4), run: "p@4.x", schedule: "x" },
    {
      "active.p@4.x.run": "p@4.x",
      "active.p@4.x.at": at(4),
      "counts.fired": 3,
      "tally.slots.fired": 3,
      [`decided.${at(4)}.x`]: "fired",
      "recentlyFired.x": "toxn2o",
      "ran.x": 1,
    },
  ],
  [
    { type: "slot.fired", slot: at(4), run: "p@4", of: "y", through: at(4), shadow: true },
    {
      "counts.fired": 3,
      "tally.slots.fired": 3,
      decided: {},
      "recentlyFired.": "toxmxo,1o,3c",
      "ran.y": 1,
      through: T(4),
      [`decided.${at(3)}`]: "gone",
    },
  ],
  [
    {
      type: "slot.caught_up",
      slot: at(4),
      run: "p@4",
      through: at(4),
      latenessMs: 90000,
      because: "late",
    },
    {
      "active.p@4.run": "p@4",
      "active.p@4.at": at(4),
      "counts.caughtUp": 1,
      "tally.slots.caught_up": 1,
      "tally.lateness.counts": [2, 0, 0, 0, 0, 0, 0, 0, 1],
      "tally.lateness.sumMs": 90016,
      decided: {},
      "recentlyFired.": "toxmxo,1o,3c",
      "ran.": 3,
      through: T(4),
      [`decided.${at(3)}`]: "gone",
    },
  ],
  [
    { type: "slot.skipped", slot: at(4), because: "overlap" },
    { "counts.skipped": 2, "tally.slots.skipped": 2, [`decided.${at(4)}`]: "skipped" },
  ],
  [
    { type: "slot.skipped", slot: at(4), because: "overlap", through: at(4) },
    {
      "counts.skipped": 2,
      "tally.slots.skipped": 2,
      decided: {},
      through: T(4),
      [`decided.${at(3)}`]: "gone",
    },
  ],
  [
    { type: "slot.missed", slot: at(4), because: "down" },
    { "counts.missed": 1, "tally.slots.missed": 1, [`decided.${at(4)}`]: "missed" },
  ],
  [
    { type: "slot.missed", slot: at(4), until: at(6), because: "down", through: at(5) },
    {
      "counts.missed": 1,
      "tally.slots.missed": 1,
      decided: {},
      covered: [[T(4), T(6)]],
      through: T(5),
      [`decided.${at(3)}`]: "gone",
    },
  ],
  [
    { type: "slot.backfilled", slot: at(1), run: "p@1.b1", requestId: "b1" },
    {
      "active.p@1.b1.run": "p@1.b1",
      "active.p@1.b1.at": at(4),
      "counts.backfilled": 1,
      "tally.slots.backfilled": 1,
    },
  ],
  [
    { type: "clock.stepped", from: at(4), to: at(1), through: at(1) },
    { decided: {}, firedAhead: [at(2)], through: T(1), [`decided.${at(3)}`]: "gone" },
  ],
  [{ type: "clock.stepped", from: at(4), to: at(1) }, {}],
  [
    { type: "run.queued", run: "p@2.m1", because: "x" },
    { "active.p@2.m1.run": "p@2.m1", "active.p@2.m1.at": at(4), queued: ["p@3", "p@2.m1"] },
  ],
  [
    { type: "run.started", run: "p@3", because: "its turn came" },
    { "active.p@3.startedAt": at(4), queued: [], "last.run": "p@3", "last.startedAt": at(4) },
  ],
  [
    {
      type: "run.finished",
      run: "p@2",
      status: "completed",
      durationMs: 120000,
      workedMs: 60001,
      because: "well",
      trigger: "schedule",
      steps: { completed: 2 },
      retries: 1,
    },
    {
      "last.status": "completed",
      "last.finishedAt": at(4),
      "counts.completed": 1,
      "tally.runs.completed schedule": 1,
      "tally.steps.completed": 2,
      "tally.retries": 1,
      "tally.durations.counts": [0, 0, 0, 0, 0, 1, 1],
      "tally.durations.sumMs": 120001,
      "tally.ended.completed": at(4),
      ended: ["p@1", "p@2"],
      durations: [60001],
      "active.p@2.at": "gone",
      "active.p@2.run": "gone",
      "active.p@2.startedAt": "gone",
      "tally.steps": "gone",
    },
  ],
  [
    {
      type: "run.finished",
      run: "p@3",
      status: "stopped",
      durationMs: 0,
      because: "x".repeat(301),
    },
    {
      queued: [],
      "last.run": "p@3",
      "last.status": "stopped",
      "last.startedAt": null,
      "last.finishedAt": at(4),
      "last.because": "x".repeat(300),
      "counts.stopped": 1,
      "tally.runs.stopped unknown": 1,
      "tally.durations.counts": [1, 0, 0, 0, 0, 1],
      "tally.ended.stopped": at(4),
      ended: ["p@1", "p@3"],
      "active.p@3.run": "gone",
      "active.p@3.at": "gone",
    },
  ],
  [
    {
      type: "backfill.started",
      requestId: "b2",
      from: at(1),
      to: at(2),
      which: "failed",
      maxActive: 2,
      schedule: "x",
      params: { a: 1 },
      slots: 3,
    },
    {
      "backfills.b2.requestId": "b2",
      "backfills.b2.from": at(1),
      "backfills.b2.to": at(2),
      "backfills.b2.which": "failed",
      "backfills.b2.maxActive": 2,
      "backfills.b2.schedule": "x",
      "backfills.b2.params.a": 1,
      requests: ["r1", "b1", "b2"],
    },
  ],
  [
    { type: "backfill.finished", requestId: "b1", because: "over" },
    {
      backfills: {},
      "backfills.b1.requestId": "gone",
      "backfills.b1.from": "gone",
      "backfills.b1.to": "gone",
      "backfills.b1.which": "gone",
    },
  ],
  [
    { type: "ledger.disturbed", because: "again" },
    { "disturbed.at": at(4), "disturbed.because": "again" },
  ],
  [{ type: "slot.late", slot: at(2), run: "p@2", because: "late" }, { "active.p@2.late": true }],
  [{ type: "slot.late", slot: at(2), because: "late" }, {}],
  [{ type: "run.overdue", run: "p@2", because: "slow" }, { "active.p@2.overdue": true }],
  [{ type: "run.overdue", run: "p@9", because: "slow" }, {}],
  [{ type: "runs.pruned", until: at(1), runs: 1 }, { prunedUntil: T(1) }],
  [{ type: "runs.pruned", until: "2026-11-22T00:00:00.000Z", runs: 1 }, {}],
  [{ type: "request.noted", requestId: "r9", because: "x" }, { requests: ["r1", "b1", "r9"] }],
  [{ type: "of.tomorrow" }, {}],
])("%j", (event, changes) => {
  const state = busy();
  const before = seen(state);
  happen(state, 4, event);
  expect(changedMembers(before, seen(state))).toEqual({ ...COUNTED, ...changes });
});

it("a checkpoint holds all of it", () => {
  const state = busy();
  const restored = emptyPipelineState();
  happen(restored, 9, JSON.parse(JSON.stringify(checkpointOf(state))) as object);
  expect(changedMembers(seen(state), seen(restored))).toEqual({
    lastSeq: 1,
    linesSinceCheckpoint: 0,
  });
});

it("a checkpoint leaves nothing of what was there before it", () => {
  const empty = emptyPipelineState();
  const state = busy();
  happen(state, 9, JSON.parse(JSON.stringify(checkpointOf(empty))) as object);
  expect(changedMembers(seen(empty), seen(state))).toEqual({
    // Ids of requests are remembered for longer than a checkpoint holds them.
    requests: ["r1", "b1"],
    lastSeq: 15,
  });
});
