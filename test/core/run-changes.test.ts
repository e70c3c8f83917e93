/**
 * What each line of a run's ledger changes in its state, member by member, and nothing else. The
 * run that it meets has a step of each phase, so that what is not moved on shows too.
 */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import { changedMembers, seen } from "../support/changed-members.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
const T = (minute: number): number => Date.parse(at(minute));
const CODE = { bundle: "b", pick: "export:default", source: "./a.ts" };
const ERROR = { name: "Error", message: "no" };
const retry = { ...NO_RETRY, maxRetries: 2 };
const HOOKS = { init: CODE, cleanup: CODE, onRunFailure: CODE, onFailure: CODE };

/** Steps: done, runs, waits for a retry, failed, ready, ready elsewhere, waiting, doomed. */
const STEPS = [
  stepSpec("done", { hooks: { onSuccess: CODE } }),
  stepSpec("runs", { retry, hooks: { onSuccess: CODE } }),
  stepSpec("again", { retry, startWithinMs: 600_000 }),
  stepSpec("bad"),
  stepSpec("ready", { startWithinMs: 300_000 }),
  stepSpec("far", { on: ["gpu"] }),
  stepSpec("waits", { needs: ["runs"] }),
  stepSpec("doomed", { needs: ["bad"] }),
];

/** A run on its way. @param more events that come after */
function busy(...more: readonly RunEvent[]): GivenRun {
  const run = new GivenRun(snapshotOf(STEPS, { hooks: HOOKS }));
  const later = (...events: readonly RunEvent[]): void => {
    run.now += 60_000;
    run.happen(...events);
  };
  later({ type: "run.queued", because: "another goes on", limits: { lane: 1 } });
  later({ type: "run.started", because: "its turn came" });
  run.happen({ type: "hook.completed", hook: "init", state: { a: 1 } });
  for (const step of ["done", "runs", "again", "bad"])
    run.happen({ type: "step.started", step, attempt: 1, because: "the run began" });
  later({
    type: "step.completed",
    step: "done",
    attempt: 1,
    outputs: { result: 1 },
    durationMs: 1,
  });
  run.happen(
    { type: "step.failed", step: "again", attempt: 1, error: ERROR, retryAt: at(9), because: "x" },
    { type: "step.failed", step: "bad", attempt: 1, error: ERROR },
    { type: "run.waits", on: ["gpu"], because: "no place has it" },
  );
  run.now += 60_000;
  return run.happen(...more);
}

const step = (type: string, id: string, attempt: number, more: object = {}): object => ({
  type: `step.${type}`,
  step: id,
  attempt,
  ...more,
});
/** Each line is the last one. */
const NEXT = { lastSeq: 13, lastAt: at(4) };

/** What changes; what a step was told to do stays as it was written. */
function changedBy(event: object): object {
  const run = busy();
  const before = seen(run.state);
  run.happen(event as RunEvent);
  const changes = Object.entries(changedMembers(before, seen(run.state)));
  return Object.fromEntries(changes.filter(([path]) => !path.includes(".spec.")));
}

it.each<[object, object]>([
  [{ type: "submit.started" }, { submission: "started" }],
  [
    { type: "submit.accepted", metadata: { url: "x" } },
    { submission: "accepted", "metadata.url": "x" },
  ],
  [
    { type: "submit.accepted", metadata: {}, orchestratorRunId: "o2" },
    { orchestratorRunId: "o2", submission: "accepted", metadata: {} },
  ],
  [{ type: "submit.identified", orchestratorRunId: "o3" }, { orchestratorRunId: "o3" }],
  [
    { type: "submit.failed", error: ERROR },
    { submission: "failed", "submissionError.name": "Error", "submissionError.message": "no" },
  ],
  [{ type: "submit.warning", error: ERROR, because: "it waits" }, { because: "it waits" }],
  [
    { type: "run.queued", because: "again" },
    { phase: "queued", because: "again" },
  ],
  [
    { type: "run.started", because: "it goes on" },
    { because: "it goes on", startedAt: at(4) },
  ],
  [
    { type: "run.stop_requested", mode: "graceful", by: "ann" },
    { "stop.mode": "graceful", "stop.by": "ann" },
  ],
  [
    { type: "run.stop_requested", mode: "force", by: "ann", because: "now", requestId: "r1" },
    { "stop.mode": "force", "stop.by": "ann", "stop.because": "now", "stop.requestId": "r1" },
  ],
  [{ type: "stop.failed", error: ERROR }, {}],
  [{ type: "stop.accepted" }, {}],
  [
    { type: "run.timed_out", because: "it took longer than 1h" },
    { timedOut: "it took longer than 1h" },
  ],
  [
    { type: "run.recovered", because: "again" },
    { workedMs: 60000, recoveries: 1, resumedAt: at(4) },
  ],
  [
    { type: "run.recovered", because: "again", workedUntil: at(4) },
    { workedMs: 120000, recoveries: 1, resumedAt: at(4) },
  ],
  [{ type: "run.function_ended" }, { function: "ended" }],
  [
    { type: "run.function_ended", unawaited: ["a"] },
    { function: "ended", unawaited: ["a"] },
  ],
  [
    { type: "run.function_ended", error: ERROR },
    { function: "ended", "functionError.name": "Error", "functionError.message": "no" },
  ],
  [
    { type: "run.finished", status: "failed", because: "no", durationMs: 5 },
    {
      phase: "finished",
      "finished.status": "failed",
      "finished.because": "no",
      "finished.at": at(4),
      "finished.durationMs": 5,
    },
  ],
  [
    { type: "run.finished", status: "failed", because: "no", durationMs: 5, workedMs: 4 },
    {
      phase: "finished",
      "finished.status": "failed",
      "finished.because": "no",
      "finished.at": at(4),
      "finished.durationMs": 5,
      "finished.workedMs": 4,
    },
  ],
  [{ type: "run.overdue", because: "slow" }, {}],
  [
    { type: "run.waits", on: ["a", "b"], because: "nobody has both" },
    { "waits.a+b": "nobody has both" },
  ],
  [
    { type: "step.added", step: "new", spec: stepSpec("new"), call: "{}", values: { x: 1 } },
    {
      "steps.new.phase": "ready",
      "steps.new.status": "initializing",
      "steps.new.attempt": 0,
      "steps.new.reruns": 0,
      "steps.new.token": 0,
      "steps.new.unmet": 0,
      "steps.new.alone": false,
      "steps.new.rerun": false,
      "steps.new.attempts": [],
      "steps.new.call": "{}",
      "steps.new.values.x": 1,
      ready: ["ready", "far", "new"],
      "readyIn.shell": 2,
    },
  ],
  [
    {
      type: "step.added",
      step: "new",
      spec: stepSpec("new", { needs: ["done", "runs"], on: ["a"] }),
    },
    {
      "steps.new.phase": "waiting",
      "steps.new.status": "initializing",
      "steps.new.attempt": 0,
      "steps.new.reruns": 0,
      "steps.new.token": 0,
      "steps.new.unmet": 1,
      "steps.new.alone": false,
      "steps.new.rerun": false,
      "steps.new.attempts": [],
      "dependents.runs": ["waits", "new"],
      "dependents.done": ["new"],
      farLanes: ["shell@gpu", "shell@a"],
    },
  ],
  [
    { type: "step.added", step: "new", spec: stepSpec("new", { needs: ["bad"] }) },
    {
      "steps.new.phase": "waiting",
      "steps.new.status": "initializing",
      "steps.new.attempt": 0,
      "steps.new.reruns": 0,
      "steps.new.token": 0,
      "steps.new.unmet": 1,
      "steps.new.alone": false,
      "steps.new.rerun": false,
      "steps.new.attempts": [],
      "dependents.bad": ["doomed", "new"],
      "doomed.new": 'upstream step "bad" failed',
    },
  ],
  [{ type: "step.added", step: "done", spec: stepSpec("done", { needs: ["bad"] }) }, {}],
  [
    { type: "hook.completed", hook: "onSuccess", step: "done" },
    { "owedHooks.onSuccess:done.hook": "gone", "owedHooks.onSuccess:done.step": "gone" },
  ],
  [
    { type: "hook.failed", hook: "onFailure", step: "bad", error: ERROR },
    { "owedHooks.onFailure:bad.hook": "gone", "owedHooks.onFailure:bad.step": "gone" },
  ],
  [{ type: "hook.completed", hook: "init" }, {}],
  [
    { type: "hook.failed", hook: "init", error: ERROR },
    { init: "failed", cleanup: "none", "initError.name": "Error", "initError.message": "no" },
  ],
  [{ type: "hook.completed", hook: "cleanup" }, { cleanup: "done" }],
  [{ type: "hook.failed", hook: "cleanup", error: ERROR }, { cleanup: "done" }],
  [{ type: "hook.completed", hook: "onRunFailure" }, { runFailureHook: "done" }],
  [
    step("started", "ready", 1, { because: "the run began" }),
    {
      "steps.ready.phase": "running",
      "steps.ready.status": "running",
      "steps.ready.attempt": 1,
      "steps.ready.token": 13,
      "steps.ready.attempts": [{ attempt: 1, status: "running", startedAt: at(4) }],
      "steps.ready.because": "the run began",
      "steps.ready.startedAt": at(4),
      ready: ["far"],
      "readyIn.shell": 0,
      running: ["runs", "ready"],
    },
  ],
  [
    step("started", "ready", 1, { because: "the run began", cacheKey: "k", elsewhere: true }),
    {
      "steps.ready.phase": "running",
      "steps.ready.status": "running",
      "steps.ready.attempt": 1,
      "steps.ready.token": 13,
      "steps.ready.attempts": [{ attempt: 1, status: "running", startedAt: at(4) }],
      "steps.ready.because": "the run began",
      "steps.ready.cacheKey": "k",
      "steps.ready.elsewhere": true,
      "steps.ready.startedAt": at(4),
      ready: ["far"],
      "readyIn.shell": 0,
      running: ["runs", "ready"],
    },
  ],
  [
    step("started", "far", 1, { because: "the run began" }),
    {
      "steps.far.phase": "running",
      "steps.far.status": "running",
      "steps.far.attempt": 1,
      "steps.far.token": 13,
      "steps.far.attempts": [{ attempt: 1, status: "running", startedAt: at(4) }],
      "steps.far.because": "the run began",
      "steps.far.startedAt": at(4),
      ready: ["ready"],
      "readyIn.shell@gpu": 0,
      running: ["runs", "far"],
      waits: {},
      "waits.gpu": "gone",
    },
  ],
  [
    step("started", "again", 2, { because: "retry 1 of 2" }),
    {
      "steps.again.phase": "running",
      "steps.again.status": "running",
      "steps.again.attempt": 2,
      "steps.again.token": 13,
      "steps.again.attempts": [
        { attempt: 1, status: "retried", startedAt: at(2), finishedAt: at(3), error: ERROR },
        { attempt: 2, status: "running", startedAt: at(4) },
      ],
      "steps.again.because": "retry 1 of 2",
      running: ["runs", "again"],
      delayed: [],
      "steps.again.retryAt": "gone",
    },
  ],
  [
    step("started", "runs", 1, { because: "again" }),
    {
      "steps.runs.reruns": 1,
      "steps.runs.token": 13,
      "steps.runs.attempts": [
        { attempt: 1, status: "running", startedAt: at(2) },
        { attempt: 1, status: "running", startedAt: at(4) },
      ],
      "steps.runs.because": "again",
    },
  ],
  [step("started", "nobody", 1, { because: "x" }), {}],
  [
    step("placed", "runs", 1, { place: "gpu1", host: "h", ref: "r" }),
    {
      "steps.runs.attempts": [
        {
          attempt: 1,
          status: "running",
          startedAt: at(2),
          placed: { place: "gpu1", host: "h", ref: "r" },
        },
      ],
    },
  ],
  [step("placed", "done", 1, { place: "gpu1", host: "h", ref: "r" }), {}],
  [
    step("completed", "runs", 1, { outputs: { result: 2 }, durationMs: 3 }),
    {
      "steps.runs.phase": "ended",
      "steps.runs.status": "completed",
      "steps.runs.attempts": [
        { attempt: 1, status: "completed", startedAt: at(2), finishedAt: at(4) },
      ],
      "steps.runs.outputs.result": 2,
      "steps.runs.finishedAt": at(4),
      "steps.waits.phase": "ready",
      "steps.waits.unmet": 0,
      ready: ["ready", "far", "waits"],
      "readyIn.shell": 2,
      running: [],
      "owedHooks.onSuccess:runs.hook": "onSuccess",
      "owedHooks.onSuccess:runs.step": "runs",
      ended: 3,
    },
  ],
  [
    step("cached", "ready", 0, {
      outputs: { result: 2 },
      source: { run: "p@0", step: "ready" },
      because: "nothing changed",
      cacheKey: "k",
    }),
    {
      "steps.ready.phase": "ended",
      "steps.ready.status": "cached",
      "steps.ready.outputs.result": 2,
      "steps.ready.source.run": "p@0",
      "steps.ready.source.step": "ready",
      "steps.ready.because": "nothing changed",
      "steps.ready.cacheKey": "k",
      "steps.ready.startedAt": at(4),
      "steps.ready.finishedAt": at(4),
      ready: ["far"],
      "readyIn.shell": 0,
      ended: 3,
    },
  ],
  [
    step("failed", "runs", 1, { error: ERROR }),
    {
      "steps.runs.phase": "ended",
      "steps.runs.status": "failed",
      "steps.runs.attempts": [
        { attempt: 1, status: "failed", startedAt: at(2), finishedAt: at(4), error: ERROR },
      ],
      "steps.runs.error.name": "Error",
      "steps.runs.error.message": "no",
      "steps.runs.finishedAt": at(4),
      running: [],
      "doomed.waits": 'upstream step "runs" failed',
      "owedHooks.onFailure:runs.hook": "onFailure",
      "owedHooks.onFailure:runs.step": "runs",
      ended: 3,
      failed: 2,
    },
  ],
  [
    step("failed", "runs", 1, { error: ERROR, because: "retry 1 of 2 follows", retryAt: at(8) }),
    {
      "steps.runs.phase": "delayed",
      "steps.runs.status": "retrying",
      "steps.runs.attempts": [
        { attempt: 1, status: "retried", startedAt: at(2), finishedAt: at(4), error: ERROR },
      ],
      "steps.runs.because": "retry 1 of 2 follows",
      "steps.runs.error.name": "Error",
      "steps.runs.error.message": "no",
      "steps.runs.retryAt": T(8),
      running: [],
      delayed: ["again", "runs"],
    },
  ],
  [
    step("failed", "again", 1, { error: ERROR, because: "nobody asked" }),
    {
      "steps.again.phase": "ended",
      "steps.again.status": "failed",
      "steps.again.attempts": [
        { attempt: 1, status: "failed", startedAt: at(2), finishedAt: at(3), error: ERROR },
      ],
      "steps.again.because": "nobody asked",
      "steps.again.finishedAt": at(4),
      delayed: [],
      "owedHooks.onFailure:again.hook": "onFailure",
      "owedHooks.onFailure:again.step": "again",
      ended: 3,
      failed: 2,
    },
  ],
  [
    step("interrupted", "runs", 1, { next: "fail", because: "it died; onInterruption is fail" }),
    {
      "steps.runs.phase": "ended",
      "steps.runs.status": "failed",
      "steps.runs.attempts": [
        { attempt: 1, status: "failed", startedAt: at(2), finishedAt: at(4) },
      ],
      "steps.runs.because": "it died; onInterruption is fail",
      "steps.runs.error.name": "Interrupted",
      "steps.runs.error.message": "it died; onInterruption is fail",
      "steps.runs.finishedAt": at(4),
      running: [],
      "doomed.waits": 'upstream step "runs" failed',
      "owedHooks.onFailure:runs.hook": "onFailure",
      "owedHooks.onFailure:runs.step": "runs",
      ended: 3,
      failed: 2,
    },
  ],
  [
    step("interrupted", "runs", 1, { next: "rerun", because: "it died", alone: true }),
    {
      "steps.runs.phase": "delayed",
      "steps.runs.status": "retrying",
      "steps.runs.alone": true,
      "steps.runs.rerun": true,
      "steps.runs.attempts": [
        { attempt: 1, status: "retried", startedAt: at(2), finishedAt: at(4) },
      ],
      "steps.runs.because": "it died",
      "steps.runs.retryAt": T(4),
      running: [],
      delayed: ["again", "runs"],
    },
  ],
  [
    step("interrupted", "runs", 1, { next: "retry", because: "it died", retryAt: at(8) }),
    {
      "steps.runs.phase": "delayed",
      "steps.runs.status": "retrying",
      "steps.runs.attempts": [
        { attempt: 1, status: "retried", startedAt: at(2), finishedAt: at(4) },
      ],
      "steps.runs.because": "it died",
      "steps.runs.retryAt": T(8),
      running: [],
      delayed: ["again", "runs"],
    },
  ],
  [
    step("stopped", "runs", 1, { because: "told to" }),
    {
      "steps.runs.phase": "ended",
      "steps.runs.status": "stopped",
      "steps.runs.attempts": [
        { attempt: 1, status: "stopped", startedAt: at(2), finishedAt: at(4) },
      ],
      "steps.runs.because": "told to",
      "steps.runs.finishedAt": at(4),
      running: [],
      "doomed.waits": 'upstream step "runs" was stopped',
      ended: 3,
      stoppedSteps: 1,
    },
  ],
  [
    { type: "step.skipped", step: "doomed", because: "upstream failed" },
    {
      "steps.doomed.phase": "ended",
      "steps.doomed.status": "skipped",
      "steps.doomed.because": "upstream failed",
      "steps.doomed.finishedAt": at(4),
      doomed: {},
      ended: 3,
      "doomed.doomed": "gone",
    },
  ],
  [
    { type: "step.skipped", step: "runs", because: "x" },
    {
      "steps.runs.phase": "ended",
      "steps.runs.status": "skipped",
      "steps.runs.because": "x",
      "steps.runs.finishedAt": at(4),
      running: [],
      "doomed.waits": 'upstream step "runs" was skipped',
      ended: 3,
    },
  ],
  [{ type: "step.result_refused", step: "runs", attempt: 1, token: 1, because: "late" }, {}],
  [{ type: "of.tomorrow" }, {}],
])("%j", (event, changes) => {
  expect(changedBy(event)).toEqual({ ...NEXT, ...changes });
});

it("what is given with a submission is added to what stands in the snapshot", () => {
  const run = busy();
  const { snapshot } = run.state;
  run.state.snapshot = { ...snapshot, baseEnv: { A: "0", Z: "9" } };
  const orchestrator = { flavor: "f", config: {} };
  run.happen({
    type: "submit.given",
    baseEnvironment: { A: "1" },
    stackEnvironment: { B: "2" },
    stepEnvironments: { ready: { C: "3" } },
    orchestrator,
    orchestratorHooks: ["init"],
  });
  const steps = STEPS.map((one) => (one.id === "ready" ? { ...one, env: { C: "3" } } : one));
  expect(run.state.snapshot).toEqual({
    ...snapshot,
    orchestrator,
    baseEnv: { A: "1", Z: "9" },
    stackEnv: { B: "2" },
    steps,
  });
  expect([...run.state.steps.values()].map(({ spec }) => spec)).toEqual(steps);
  expect(run.state).toMatchObject({ orchestratorHooks: ["init"], init: "owed", cleanup: "owed" });
});

it("a stop that failed is told until it is accepted, and force stays", () => {
  const stop = { type: "run.stop_requested", mode: "force", by: "ann" } as const;
  const answer = { mode: "force", because: "it was asked" } as const;
  const run = busy(stop, { type: "stop.failed", ...answer, error: ERROR });
  expect(run.state.stop).toEqual({ mode: "force", by: "ann", failed: ERROR });
  expect(run.happen({ type: "stop.accepted", ...answer }).state.stop).toEqual({
    mode: "force",
    by: "ann",
  });
  run.happen({ ...stop, mode: "graceful", by: "bob" });
  expect(run.state.stop).toEqual({ mode: "force", by: "bob" });
});

it("a run that has finished changes no more", () => {
  const end = { type: "run.finished", status: "failed", because: "no", durationMs: 5 } as const;
  const run = busy(end);
  const before = seen(run.state);
  run.now += 60_000;
  run.happen({ type: "run.timed_out", because: "late" }, step("skipped", "doomed", 1) as RunEvent);
  expect(changedMembers(before, seen(run.state))).toEqual({ lastSeq: 15 });
});
