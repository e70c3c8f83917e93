import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { evolvePipeline, forgottenAfter } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../../src/core/pipeline-state.ts";
import { packSlots } from "../../src/core/schedule/slot-list.ts";

const T0 = Date.UTC(2026, 10, 23);
const iso = (seconds: number): string => new Date(T0 + seconds * 1_000).toISOString();

function foldEvents(events: readonly PipelineEvent[], state = emptyPipelineState()): PipelineState {
  for (const [index, event] of events.entries()) {
    evolvePipeline(state, {
      ...event,
      seq: state.lastSeq + 1,
      b: state.lastSeq + 1,
      at: iso(index),
    });
  }
  return state;
}

const loaded: PipelineEvent = {
  type: "pipeline.loaded",
  digest: "d",
  schedules: [{ cron: "* * * * *" }],
  tz: "UTC",
  tzdata: "2026c",
};

describe("the watermark", () => {
  it("begins at the load and moves with the last line of a due time", () => {
    const state = foldEvents([loaded, { type: "slot.skipped", slot: iso(60), because: "overlap" }]);
    expect(state.through).toBe(T0);
    expect(state.decided.get(iso(60))).toBe("skipped");
    foldEvents(
      [{ type: "slot.fired", slot: iso(60), run: "p@1.x", schedule: "x", through: iso(60) }],
      state,
    );
    expect(state.through).toBe(T0 + 60_000);
    expect(state.decided.size).toBe(0);
  });

  it("never goes back but by a clock step, and remembers what fired ahead of it", () => {
    const state = foldEvents([
      loaded,
      { type: "slot.fired", slot: iso(600), run: "p@1", through: iso(600) },
    ]);
    foldEvents([{ type: "slot.fired", slot: iso(60), run: "p@0", through: iso(60) }], state);
    expect(state.through).toBe(T0 + 600_000);
    foldEvents([{ type: "clock.stepped", from: iso(600), to: iso(120), through: iso(120) }], state);
    expect(state.through).toBe(T0 + 120_000);
    expect([...state.firedAhead]).toEqual([iso(600)]);
    foldEvents(
      [{ type: "slot.missed", slot: iso(660), because: "down", through: iso(660) }],
      state,
    );
    expect(state.firedAhead.size).toBe(0);
  });

  it("remembers a stretch of missed slots until jitter can hold none of them back any more", () => {
    const jittery = { ...loaded, schedules: [{ jitterSeconds: 60 }] } as PipelineEvent;
    const state = foldEvents([
      jittery,
      { type: "slot.missed", slot: iso(60), until: iso(600), because: "down", through: iso(600) },
    ]);
    expect(state.covered).toEqual([[T0 + 60_000, T0 + 600_000]]);
    foldEvents(
      [{ type: "slot.missed", slot: iso(660), because: "down", through: iso(661) }],
      state,
    );
    expect(state.covered).toEqual([]);
  });

  it("takes up slots that a step back tells and that were forgotten, in their order", () => {
    const fired = (second: number): PipelineEvent => ({
      type: "slot.fired",
      slot: iso(second),
      run: `p@${second}`,
      through: iso(second),
    });
    const state = foldEvents([loaded, fired(600), fired(900)]);
    const told = packSlots([iso(300), iso(900), `${iso(120)}.x`]);
    const back = { type: "clock.stepped", from: iso(900), to: iso(60), through: iso(60) } as const;
    foldEvents([{ ...back, fired: told }], state);
    const ahead = [`${iso(120)}.x`, iso(300), iso(600), iso(900)];
    expect([...state.firedAhead]).toEqual(ahead);
    foldEvents([{ type: "slot.missed", slot: iso(300), because: "x", through: iso(300) }], state);
    expect([...state.firedAhead]).toEqual(ahead.slice(2));
  });

  it("forgets by a step back what was decided: it is decided again", () => {
    const skipped = { type: "slot.skipped", slot: iso(60), because: "paused" } as const;
    const missed = { type: "slot.missed", slot: iso(30), until: iso(50), because: "x" } as const;
    const state = foldEvents([loaded, missed, skipped]);
    expect([state.decided.size, state.covered.length]).toEqual([2, 1]);
    foldEvents([{ type: "clock.stepped", from: iso(60), to: iso(20), through: iso(20) }], state);
    expect([state.decided.size, state.covered.length, state.through]).toEqual([0, 0, T0 + 20_000]);
  });

  it("forgets none that fired after the moment that it says", () => {
    const jittery = { ...loaded, schedules: [{ jitterSeconds: 60 }] } as PipelineEvent;
    const slots = Array.from({ length: 2_049 }, (_, nth) => (nth + 1) * 60);
    const fired = slots.map((second): PipelineEvent => {
      return { type: "slot.fired", slot: iso(second), run: `p@${second}`, through: iso(second) };
    });
    const state = foldEvents([jittery, ...fired]);
    const kept = [...state.recentlyFired];
    const oldest = Date.parse(kept[0]!);
    expect(kept).toEqual(slots.slice(1).map(iso));
    // A slot may be due a minute after its time.
    expect(forgottenAfter(state, oldest + 60_000)).toBeUndefined();
    expect(forgottenAfter(state, oldest - 1)).toBe(oldest - 60_001);
  });

  it("remembers a slot that had passed, and that jitter held back beyond the step", () => {
    const jittery = { ...loaded, schedules: [{ jitterSeconds: 1_800 }] } as PipelineEvent;
    const state = foldEvents([
      jittery,
      { type: "slot.fired", slot: iso(600), run: "p@1", through: iso(1_200) },
    ]);
    foldEvents(
      [{ type: "clock.stepped", from: iso(1_260), to: iso(900), through: iso(900) }],
      state,
    );
    expect([...state.firedAhead]).toEqual([iso(600)]);
  });

  it("counts slots from the step on where the clock went back behind the load", () => {
    const since = { ...loaded, since: iso(600) } as PipelineEvent;
    const state = foldEvents([
      since,
      { type: "slot.fired", slot: iso(660), run: "p@1", through: iso(660) },
    ]);
    const back = (to: number): PipelineState =>
      foldEvents(
        [{ type: "clock.stepped", from: iso(to + 60), to: iso(to), through: iso(to) }],
        state,
      );
    expect(back(630).since).toBe(T0 + 600_000);
    expect(back(120).since).toBe(T0 + 120_000);
    expect(state.ran).toEqual({ "": 1 });
    expect(foldEvents([checkpointOf(state)]).since).toBe(T0 + 120_000);
  });

  it("remembers what fired for two thousand slots, through a checkpoint", () => {
    const fired = Array.from({ length: 3_000 }, (_, index) => iso(60 * (index + 1)));
    const state = foldEvents([
      loaded,
      ...fired.map((slot): PipelineEvent => ({
        type: "slot.fired",
        slot,
        run: `p@${slot}`,
        schedule: "x",
        through: slot,
      })),
    ]);
    const text = JSON.stringify((checkpointOf(state) as Record<string, unknown>)["recentlyFired"]);
    expect(text.length).toBeLessThan(8_000);
    const restored = foldEvents([JSON.parse(JSON.stringify(checkpointOf(state))) as PipelineEvent]);
    foldEvents(
      [{ type: "clock.stepped", from: fired.at(-1)!, to: iso(0), through: iso(0) }],
      restored,
    );
    expect([...restored.firedAhead]).toEqual(fired.slice(-2_048).map((slot) => `${slot}.x`));
  });
});

describe("the runs that stopAfter counts", () => {
  const since = (seconds: number, digest: string): PipelineEvent => ({
    ...loaded,
    digest,
    since: iso(seconds),
  });
  const fired = (seconds: number, schedule?: string): PipelineEvent => ({
    type: "slot.fired",
    slot: iso(seconds),
    run: `p@${seconds}.${schedule}`,
    through: iso(seconds),
    ...(schedule === undefined ? {} : { schedule }),
  });

  it("stay counted through an edit that leaves the schedules as they are", () => {
    const state = foldEvents([since(0, "d"), fired(60), fired(120), fired(120, "x")]);
    foldEvents([since(0, "other steps")], state);
    expect(state.ran).toEqual({ "": 2, x: 1 });
    foldEvents([fired(180)], state);
    expect(state.ran).toEqual({ "": 3, x: 1 });
  });

  it("are none once the schedules were edited, and then count again", () => {
    const state = foldEvents([since(0, "d"), fired(60), since(90, "other times")]);
    expect(state.ran).toEqual({});
    foldEvents([fired(120), since(90, "other steps")], state);
    expect(state.ran).toEqual({ "": 1 });
  });

  it("stay counted through a load that does not say since when, as older versions wrote it", () => {
    const state = foldEvents([since(0, "d"), fired(60), loaded]);
    expect(state.ran).toEqual({ "": 1 });
  });
});

describe("runs", () => {
  it("are active from their slot's line to their end", () => {
    const state = foldEvents([
      loaded,
      { type: "slot.fired", slot: iso(60), run: "p@1", through: iso(60) },
    ]);
    expect([...state.active.keys()]).toEqual(["p@1"]);
    foldEvents([{ type: "run.started", run: "p@1" }], state);
    expect(state.last).toMatchObject({ run: "p@1", status: "running" });
    foldEvents([{ type: "run.finished", run: "p@1", status: "completed", durationMs: 5 }], state);
    expect(state.active.size).toBe(0);
    expect(state.last).toMatchObject({ run: "p@1", status: "completed" });
    expect(state.counts).toEqual({ fired: 1, completed: 1 });
  });
});

describe("what is remembered of the past", () => {
  const ends = (status: "completed" | "failed" | "stopped" | "cached", durationMs: number) =>
    ({ type: "run.finished", run: `p@${durationMs}`, status, durationMs }) as const;

  it("is how long completed runs took, and no others", () => {
    const state = foldEvents([loaded, ends("completed", 5), ends("failed", 6), ends("stopped", 7)]);
    foldEvents([ends("cached", 8), ends("completed", 9)], state);
    expect(state.durations).toEqual([5, 9]);
  });

  it("is the newest requests, newest last, through a checkpoint and a second one", () => {
    const noted = (from: number, to: number): PipelineEvent[] =>
      Array.from({ length: to - from }, (_, index) => ({
        type: "request.noted",
        requestId: `r${from + index}`,
        because: "done",
      }));
    const again = (state: PipelineState): PipelineState =>
      foldEvents([JSON.parse(JSON.stringify(checkpointOf(state))) as PipelineEvent]);
    const ids = (from: number, to: number): string[] => noted(from, to).map((line) => idOf(line));
    const idOf = (line: PipelineEvent): string => (line as { requestId: string }).requestId;
    const restored = again(foldEvents([loaded, ...noted(0, 100)]));
    expect([...restored.requests]).toEqual(ids(36, 100));
    foldEvents(noted(100, 110), restored);
    expect([...again(restored).requests]).toEqual(ids(46, 110));
  });

  it("is bounded: the newest 512 requests, 64 ends and 100 durations", () => {
    const numbers = Array.from({ length: 514 }, (_, nth) => nth);
    const noted = numbers.map((nth): PipelineEvent => {
      return { type: "request.noted", requestId: `r${nth}`, because: "done" };
    });
    // One that comes again counts as the newest.
    const again = noted[1]!;
    const state = foldEvents([
      loaded,
      ...noted.slice(0, 512),
      again,
      ...noted.slice(512),
      ...numbers.map((nth) => ends("completed", nth)),
    ]);
    const ids = noted.map((line) => (line as { requestId: string }).requestId);
    expect([...state.requests]).toEqual([...ids.slice(3, 512), "r1", "r512", "r513"]);
    expect([...state.ended]).toEqual(numbers.slice(450).map((nth) => `p@${nth}`));
    expect(state.durations).toEqual(numbers.slice(414));
  });

  it("is when a run began, also where its end is told twice", () => {
    const run = "p@20261123T020000Z";
    const end = { type: "run.finished", run, status: "completed", durationMs: 5 } as const;
    const state = foldEvents([loaded, { type: "run.started", run }]);
    const startedAt = state.last?.startedAt;
    expect(startedAt).toBe(iso(1));
    foldEvents([end, end], state);
    expect(state.last).toMatchObject({ run, status: "completed", startedAt });
    foldEvents([{ ...end, run: "p@20261123T020100Z" }], state);
    expect(state.last?.startedAt).toBeNull();
  });

  it("is the newest run that ended, through a checkpoint", () => {
    const runs = Array.from({ length: 70 }, (_, index) => ends("failed", index));
    const state = foldEvents([loaded, ...runs]);
    const restored = foldEvents([checkpointOf(state)]);
    expect([...restored.ended]).toEqual(runs.slice(6).map(({ run }) => run));
  });
});

const second = fc.integer({ min: 0, max: 10_000 });
const events: fc.Arbitrary<PipelineEvent> = fc.oneof(
  fc.constant(loaded),
  fc.constant<PipelineEvent>({
    ...loaded,
    description: "nightly",
    tags: ["backup"],
    notify: [{ to: ["ops"] }],
    params: { day: 1, key: { secret: "KEY" } },
  }),
  fc.constant<PipelineEvent>({ ...loaded, tags: [], notify: false }),
  fc.constant<PipelineEvent>({ type: "pipeline.paused", by: "cli:root" }),
  fc.constant<PipelineEvent>({ type: "pipeline.resumed", by: "cli:root" }),
  second.map<PipelineEvent>((at) => ({
    type: "pipeline.silenced",
    until: at % 3 === 0 ? null : iso(at),
    by: "cli:root",
    because: "repairs",
  })),
  fc.constant<PipelineEvent>({ type: "pipeline.removed" }),
  fc.constant<PipelineEvent>({ type: "pipeline.invalid", errors: ["bad cron"] }),
  second.map<PipelineEvent>((at) => ({
    type: "slot.fired",
    slot: iso(at),
    run: `p@${at}`,
    through: iso(at),
  })),
  second.map<PipelineEvent>((at) => ({ type: "slot.missed", slot: iso(at), because: "down" })),
  second.map<PipelineEvent>((at) => ({
    type: "clock.stepped",
    from: iso(at + 5),
    to: iso(at),
    through: iso(at),
  })),
  second.map<PipelineEvent>((at) => ({ type: "run.queued", run: `p@${at}`, because: "waits" })),
  second.map<PipelineEvent>((at) => ({ type: "run.started", run: `p@${at}` })),
  second.map<PipelineEvent>((at) => ({
    type: "run.finished",
    run: `p@${at}`,
    status: "failed",
    durationMs: 1,
  })),
  second.map<PipelineEvent>((at) => ({
    type: "backfill.started",
    requestId: `r${at}`,
    from: iso(0),
    to: iso(at),
    which: "missing",
  })),
);

describe("a checkpoint", () => {
  it("stands for everything before it", () => {
    fc.assert(
      fc.property(
        fc.array(events, { maxLength: 40 }),
        fc.array(events, { maxLength: 10 }),
        (before, after) => {
          const whole = foldEvents(before);
          const checkpoint = JSON.parse(JSON.stringify(checkpointOf(whole))) as PipelineEvent;
          const restored = foldEvents([checkpoint]);
          foldEvents(after, whole);
          foldEvents(after, restored);
          const face = (state: PipelineState): unknown => ({
            ...state,
            linesSinceCheckpoint: 0,
            lastSeq: 0,
            firedAhead: [...state.firedAhead].sort(),
          });
          expect(face(restored)).toEqual(face(whole));
        },
      ),
      { numRuns: 500 },
    );
  });
});

it("a pause has its own reason, or none: that of an earlier one is forgotten", () => {
  const paused = (because?: string): PipelineEvent => ({
    type: "pipeline.paused",
    by: "cli:root",
    ...(because === undefined ? {} : { because }),
  });
  const state = foldEvents([loaded, paused("a move")]);
  expect([state.paused, state.pausedBecause]).toEqual([true, "a move"]);
  foldEvents([{ type: "pipeline.resumed", by: "cli:root" }], state);
  expect([state.paused, state.pausedBecause]).toEqual([false, undefined]);
  foldEvents([paused()], state);
  expect([state.paused, state.pausedBecause]).toEqual([true, undefined]);
});

it("a slot of a track without a schedule's name counts for what it is of", () => {
  const fired = { type: "slot.fired", slot: iso(60), run: "p@1", through: iso(60) } as const;
  expect(foldEvents([loaded, { ...fired, of: "every" }]).ran).toEqual({ every: 1 });
  expect(foldEvents([loaded, { ...fired, schedule: "x", of: "every" }]).ran).toEqual({ x: 1 });
});
