/**
 * Every reason that the core gives, to the letter: why a slot waits or is left out, why a run
 * starts nothing more, why an attempt has no other, and why a run ended as it did.
 */
import { describe, expect, it } from "vitest";
import { decideOverlap, waitsFor, type OverlapDecision } from "../../src/core/admission.ts";
import {
  afterFailure,
  afterInterruption,
  afterRetries,
  afterWait,
} from "../../src/core/attempt-end.ts";
import type { RunEvent } from "../../src/core/event.ts";
import { haltReason } from "../../src/core/halt.ts";
import { runnerDeath } from "../../src/core/plan.ts";
import type { Overlap } from "../../src/core/pipeline.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import type { ExecutionMode } from "../../src/core/status.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED: RunEvent = { type: "run.started", because: "scheduled" };
const ERROR = { name: "Error", message: "no" };
const CAUSED = { ...ERROR, cause: { name: "Error", message: "nothing listens there" } };

describe("a slot beside other runs", () => {
  const becauseOf = (decision: OverlapDecision): string =>
    decision.kind === "start" ? "" : decision.because;
  it.each<[Overlap, number, number, string]>([
    ["skip", 1, 0, "run r0 still goes on; overlap is skip"],
    ["skip", 2, 0, "2 runs still go on, the oldest is r0; overlap is skip"],
    ["skip", 0, 1, "run q0 waits to start; overlap is skip"],
    ["skip", 0, 2, "2 runs wait to start; overlap is skip"],
    ["queue", 1, 0, "run r0 still goes on; overlap is queue"],
    ["queue", 1, 1, "run q0 waits already; overlap is queue"],
    ["queue_all", 1, 2, "run r0 still goes on; overlap is queue_all"],
    ["queue_all", 1, 3, "3 runs wait already, the most that may"],
    ["allow", 1, 0, "run r0 still goes on; maxActiveRuns is 1"],
    ["cancel", 1, 0, "run r0 still goes on; overlap is cancel"],
    ["terminate", 3, 0, "3 runs still go on, the oldest is r0; overlap is terminate"],
  ])("%s, where %i run and %i wait: %s", (overlap, run, wait, because) => {
    const names = (letter: string, count: number): string[] =>
      Array.from({ length: count }, (_, index) => `${letter}${index}`);
    const busy = { running: names("r", run), queued: names("q", wait) };
    expect(becauseOf(decideOverlap(overlap, 1, busy, 3))).toBe(because);
  });

  it.each([
    [{ x: 1 }, {}, 0, "1 of 1 runs of x go on"],
    [{}, { db: 2 }, 0, 'the concurrency group "db" is full: 2 of 2'],
    [{}, {}, 5, "5 runs go on, the most that orchd.yaml allows"],
    [{}, { db: 1 }, 4, undefined],
  ])("waits beside %j, %j and %i in all for: %s", (lanes, groups, total, because) => {
    const entry = { run: "r", pipeline: "p", lane: "x", limit: 1, priority: 0, order: 0 };
    const load = {
      lanes: new Map(Object.entries(lanes)),
      groups: new Map(Object.entries(groups)),
      total,
    };
    const limits = { groups: { db: 2 }, maxActiveRuns: 5 };
    expect(waitsFor({ ...entry, group: "db" }, load, limits)).toBe(because);
  });
});

/** A run of the steps a, and b after it. */
function given(...events: readonly RunEvent[]): GivenRun {
  const steps = [stepSpec("a"), stepSpec("b", { needs: ["a"] })];
  return new GivenRun(snapshotOf(steps)).happen(STARTED, ...events);
}

describe("a run starts nothing more", () => {
  const stop = (mode: "graceful" | "force", more: object = {}): RunEvent => ({
    type: "run.stop_requested",
    mode,
    by: "cli:ann",
    ...more,
  });
  const limit: RunEvent = { type: "run.timed_out", because: "it took longer than 1h" };
  it.each<[RunEvent[], object]>([
    [[stop("graceful")], { because: "the run was asked to stop", stop: "graceful" }],
    [[stop("force")], { because: "the run was asked to stop", stop: "force" }],
    [[limit], { because: "it took longer than 1h", stop: "force" }],
    [
      [{ type: "submit.failed", error: ERROR }],
      { because: "the orchestrator did not take the run: no" },
    ],
    [
      [{ type: "hook.failed", hook: "init", error: ERROR }],
      { because: "the init hook failed: no" },
    ],
    // What an error was thrown because of is the reason that a person looks for.
    [
      [{ type: "submit.failed", error: CAUSED }],
      { because: "the orchestrator did not take the run: no (cause: nothing listens there)" },
    ],
    [
      [{ type: "hook.failed", hook: "init", error: CAUSED }],
      { because: "the init hook failed: no (cause: nothing listens there)" },
    ],
    [
      [{ type: "run.function_ended", error: CAUSED }],
      { because: "the pipeline's function failed: no (cause: nothing listens there)" },
    ],
  ])("after %j", (events, halt) => {
    expect(haltReason(given(...events).state)).toEqual(halt);
  });

  it.each<[ExecutionMode, object | undefined]>([
    ["continue_on_failure", undefined],
    ["stop_on_failure", { because: 'step "a" failed and the execution mode is stop_on_failure' }],
    [
      "fail_fast",
      { because: 'step "a" failed and the execution mode is fail_fast', stop: "force" },
    ],
  ])("after a failure under %s", (executionMode, halt) => {
    const steps = [stepSpec("a"), stepSpec("b")];
    const run = new GivenRun(snapshotOf(steps, { executionMode })).happen(STARTED);
    run.start("a");
    expect(haltReason(run.state)).toBeUndefined();
    expect(haltReason(run.fail("a").state)).toEqual(halt);
  });

  const why = (run: GivenRun): unknown[] => {
    const { status, because } = run.settle().state.finished!;
    return [status, because, run.state.steps.get("b")?.because];
  };
  it("is told by its last line, and by each step that never began", () => {
    expect(why(given(stop("graceful")))).toEqual([
      "stopped",
      "stopped by cli:ann",
      "the run was asked to stop",
    ]);
    expect(why(given(stop("graceful", { because: "make room" })))).toEqual([
      "stopped",
      "make room",
      "the run was asked to stop",
    ]);
    expect(why(given(limit))).toEqual([
      "failed",
      "it took longer than 1h",
      "it took longer than 1h",
    ]);
    expect(why(given().start("a").complete("a").start("b").complete("b"))).toEqual([
      "completed",
      "all steps ended well",
      "upstream steps ended",
    ]);
    expect(why(given().start("a").fail("a"))).toEqual([
      "failed",
      'step "a" failed: no',
      'upstream step "a" failed',
    ]);
    const halves = given().start("a");
    halves.happen({ type: "step.stopped", step: "a", attempt: 1, because: "told to" });
    expect(why(halves).slice(0, 2)).toEqual(["stopped", "a step was stopped"]);
    const none = new GivenRun(snapshotOf([])).happen(STARTED).settle();
    expect(none.state.finished).toMatchObject({ because: "there was nothing to run" });
  });
});

it("a step starts for a reason, and is given up for one", () => {
  const steps = [
    stepSpec("a", { startWithinMs: 60_000 }),
    stepSpec("b", { needs: ["a"] }),
    stepSpec("c", { inputs: { x: { step: "a" } } }),
  ];
  const run = new GivenRun(snapshotOf(steps)).happen(STARTED);
  const reasons = (...facts: Parameters<GivenRun["plan"]>): string[] =>
    run.plan(...facts).map(({ kind, because }) => `${kind}: ${because}`);
  expect(reasons()[0]).toBe("launch: the run began");
  expect(reasons({ capacity: {} })).toEqual(["wake: a retry is due, or a wait is over"]);
  run.now += 60_000;
  expect(reasons({ capacity: {} })).toEqual(["expire: it did not start within 1m"]);
  run.start("a").complete("a");
  expect(reasons().slice(0, 2)).toEqual(["launch: upstream steps ended", "launch: inputs ready"]);
});

it("the only step with a limit to start has all of it from the moment the run begins", () => {
  const run = new GivenRun(snapshotOf([stepSpec("a", { startWithinMs: 60_000 })]));
  run.now += 3_600_000;
  run.happen(STARTED);
  run.now += 59_000;
  const kinds = (): string[] => run.plan({ capacity: {} }).map(({ kind }) => kind);
  expect(kinds()).toEqual(["wake"]);
  run.now += 1_000;
  expect(kinds()).toEqual(["expire"]);
});

describe("after an attempt that failed", () => {
  const failed = (
    retry: object,
    attempts = 1,
    facts: object = {},
    run = new GivenRun(snapshotOf([stepSpec("a", { retry: { ...NO_RETRY, ...retry } })])),
  ) => {
    run.happen(STARTED);
    for (let attempt = 1; attempt <= attempts; attempt += 1)
      run.happen({ type: "step.started", step: "a", attempt, because: "x" });
    const given = { now: run.now, chance: 0.5, mayRetry: true, ...facts };
    const { because, retryAt } = afterFailure(run.state, "a", ERROR, given);
    return [because, retryAt === undefined ? undefined : Date.parse(retryAt) - run.now];
  };
  it.each<[string, unknown[], unknown[]]>([
    ["no retries: nothing is to be said", [{}], [undefined, undefined]],
    ["one is left", [{ maxRetries: 1, delayMs: 5 }], ["retry 1 of 1 follows", 5]],
    ["none is left", [{ maxRetries: 1 }, 2], ["2 attempts of 2 were made", undefined]],
    [
      "another error",
      [{ maxRetries: 1, on: ["ETIMEDOUT"] }],
      ["Error is not among the errors that are retried", undefined],
    ],
    [
      "the orchestrator asks",
      [{ maxRetries: 2 }, 1, { isAsked: true }],
      ["the orchestrator may ask for retry 1 of 2", 0],
    ],
    ["nobody may retry", [{ maxRetries: 2 }, 1, { mayRetry: false }], [undefined, undefined]],
  ])("%s", (_, [retry, attempts, facts], said) => {
    expect(failed(retry as object, attempts as number, facts as object)).toEqual(said);
  });

  it("of a run that ends, there is no retry", () => {
    const retry = { ...NO_RETRY, maxRetries: 5 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    run.start("a").happen({ type: "run.stop_requested", mode: "graceful", by: "x" });
    const facts = { now: run.now, chance: 0, mayRetry: true };
    expect(afterFailure(run.state, "a", ERROR, facts)).toMatchObject({
      because: "the run is ending: no retry",
    });
  });
});

describe("after an attempt that was interrupted", () => {
  type Cause = Parameters<typeof afterInterruption>[2];
  const interrupted = (spec: object, cause: Cause, attempts = 1, reruns = 0): unknown[] => {
    const run = new GivenRun(snapshotOf([stepSpec("a", spec)])).happen(STARTED);
    for (let attempt = 1; attempt <= attempts; attempt += 1)
      run.happen({ type: "step.started", step: "a", attempt, because: "x" });
    const begins: RunEvent = { type: "step.started", step: "a", attempt: attempts, because: "x" };
    const again = {
      type: "step.interrupted",
      step: "a",
      attempt: attempts,
      next: "rerun",
    } as const;
    for (let count = 0; count < reruns; count += 1)
      run.happen({ ...again, because: "died" }, begins);
    const facts = { now: run.now, chance: 0.5, because: "it died" };
    const { next, because, alone } = afterInterruption(run.state, "a", cause, facts);
    return [next, because, alone];
  };
  const retry = { ...NO_RETRY, maxRetries: 1 };
  it.each<[string, object, Cause, number, number, unknown[]]>([
    ["waited", { onInterruption: "fail" }, "waiting", 1, 2, ["rerun", "it died", undefined]],
    [
      "waited three times",
      { onInterruption: "fail" },
      "waiting",
      1,
      3,
      ["fail", "it died; onInterruption is fail", undefined],
    ],
    ["with its runner", { onInterruption: "retry" }, "runner", 1, 2, ["rerun", "it died", true]],
    ["behind", { onInterruption: "retry" }, "behind", 1, 2, ["rerun", "it died", undefined]],
    [
      "with its runner, three times",
      { onInterruption: "retry" },
      "runner",
      1,
      3,
      ["fail", "it died; it was started again 3 times already", undefined],
    ],
    [
      "without a retry",
      { onInterruption: "retry" },
      "daemon",
      1,
      0,
      ["fail", "it died; the step has no retries", undefined],
    ],
    [
      "after its last retry",
      { onInterruption: "retry", retry },
      "daemon",
      2,
      0,
      ["fail", "it died; 2 attempts were made", undefined],
    ],
    [
      "with a retry left",
      { onInterruption: "retry", retry },
      "daemon",
      1,
      0,
      ["retry", "it died", undefined],
    ],
  ])("%s", (_, spec, cause, attempts, reruns, said) => {
    expect(interrupted(spec, cause, attempts, reruns)).toEqual(said);
  });

  it("of a run that is stopped by force, it ends", () => {
    const run = given().start("a").happen({ type: "run.stop_requested", mode: "force", by: "x" });
    const facts = { now: run.now, chance: 0, because: "it died" };
    expect(afterInterruption(run.state, "a", "runner", facts)).toMatchObject({
      next: "fail",
      because: "it died; the run is ending",
    });
  });
});

it("the line of an attempt that ended names it, and when the next one may start", () => {
  const retry = { ...NO_RETRY, maxRetries: 3, delayMs: 60_000, backoff: 2 };
  const run = new GivenRun(snapshotOf([stepSpec("a", { retry, onInterruption: "retry" })]));
  run.happen(STARTED);
  for (const attempt of [1, 2])
    run.happen({ type: "step.started", step: "a", attempt, because: "x" });
  const facts = { now: Date.UTC(2026, 10, 23, 4), chance: 0.5, because: "it died" };
  const named = { step: "a", attempt: 2, retryAt: "2026-11-23T04:02:00.000Z" };
  expect(afterInterruption(run.state, "a", "daemon", facts)).toEqual({
    type: "step.interrupted",
    ...named,
    next: "retry",
    because: "it died",
  });
  expect(afterFailure(run.state, "a", ERROR, { ...facts, mayRetry: true })).toEqual({
    type: "step.failed",
    ...named,
    error: ERROR,
    because: "retry 2 of 3 follows",
  });
  expect(afterRetries(run.state, "a")).toEqual({
    type: "step.failed",
    step: "a",
    attempt: 2,
    error: { name: "Interrupted", message: "x" },
    because: "the orchestrator asked for no further attempt",
  });
  expect(afterWait(run.state, "a", "late", "no").attempt).toBe(2);
});

it("the errors of what never began, or was given up, say so", () => {
  const run = given();
  const why = (because: string | undefined) => afterWait(run.state, "a", "it is late", because);
  const error = { name: "PlaceError", code: "ORCHD_PLACE" };
  expect(why("nobody serves gpu").error).toEqual({
    ...error,
    message: "it is late: nobody serves gpu",
  });
  expect(why(undefined).error).toEqual({
    ...error,
    message: "it is late: there was no room for it where it runs",
  });
  expect(afterRetries(run.state, "a")).toMatchObject({
    attempt: 1,
    error: { name: "Interrupted", message: "it was interrupted" },
  });
  expect(runnerDeath('step "a"', { because: "exit 1", code: "ORCHD_RUNNER_DIED" })).toEqual({
    name: "RunnerDied",
    message: 'step "a" ended its runner process: exit 1',
    code: "ORCHD_RUNNER_DIED",
  });
});

it("a run counts how often it was taken over, from none on", () => {
  const run = new GivenRun(snapshotOf([stepSpec("a")]));
  expect(run.state.recoveries).toBe(0);
  run.happen(STARTED, { type: "run.recovered", epoch: 2 } as unknown as RunEvent);
  expect(run.state.recoveries).toBe(1);
});
