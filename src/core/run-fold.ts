/**
 * A run as a fold over its ledger.
 *
 * `evolve` takes a state and a line and returns the state after that line. It owns the state and
 * changes it in place: a run of 10,000 steps must cost 10,000 and not its square. To have two
 * moments of one run, fold twice.
 *
 * Invariants: a step is in at most one of `ready`, `running`, `delayed`, `doomed`; `ended` counts
 * the steps whose phase is "ended"; a step in phase "waiting" has `unmet` > 0. A finished run never
 * changes. The case of every event keeps these invariants, so they stay one file.
 */
import type { RunEvent, RunLine } from "./event.ts";
import type { StepError } from "./failure.ts";
import { laneOf } from "./lane.ts";
import {
  endedWell,
  stepHook,
  upstreamOf,
  type AttemptState,
  type OwedHook,
  type RunState,
  type StepState,
} from "./run-state.ts";
import type { Snapshot, SnapshotStep } from "./snapshot.ts";
import type { Status } from "./status.ts";
import { TimedKeys } from "./timed-keys.ts";

/** Folds a run's ledger. Undefined if the first line is not a header. */
export function fold(lines: Iterable<RunLine>): RunState | undefined {
  let state: RunState | undefined;
  for (const line of lines) state = evolve(state, line);
  return state;
}

/**
 * The state after one more line. Changes `state` in place and returns it. An unknown event changes
 * nothing but the position.
 *
 * @param state the run so far; undefined before the header
 */
export function evolve(state: RunState | undefined, line: RunLine): RunState | undefined {
  if (state === undefined) return line.type === "run.submitted" ? begin(line) : undefined;
  evolveEvent(state, line, line.seq, line.at);
  return state;
}

/**
 * As {@link evolve}, for an event that has no framing yet: a copy with it would cost as much as the
 * rest.
 */
// oxlint-disable-next-line max-lines-per-function -- the fold: a case an event
export function evolveEvent(state: RunState, line: RunEvent, seq: number, at: string): void {
  state.lastSeq = seq;
  if (state.finished !== undefined) return;
  const from = state.lastAt;
  state.lastAt = at;
  // Most lines are of steps.
  if (isOfStep(line)) return evolveStep(state, line);
  switch (line.type) {
    case "run.submitted":
      break;
    case "submit.given":
      takeGiven(state, line);
      break;
    case "submit.started":
      state.submission = "started";
      break;
    case "submit.accepted":
      state.submission = "accepted";
      state.metadata = line.metadata;
      if (line.orchestratorRunId !== undefined) state.orchestratorRunId = line.orchestratorRunId;
      break;
    case "submit.identified":
      state.orchestratorRunId = line.orchestratorRunId;
      break;
    case "submit.failed":
      state.submission = "failed";
      state.submissionError = line.error;
      break;
    case "run.queued":
      state.phase = "queued";
      state.because = line.because;
      if (line.limits !== undefined) state.limits = line.limits;
      break;
    case "run.started":
      state.phase = "started";
      state.startedAt = at;
      wholeLimits(state, Date.parse(at));
      state.because = line.because;
      break;
    case "run.stop_requested":
      state.stop = {
        mode: line.mode === "force" || state.stop?.mode === "force" ? "force" : "graceful",
        by: line.by,
        ...(line.because === undefined ? {} : { because: line.because }),
        ...(line.requestId === undefined ? {} : { requestId: line.requestId }),
      };
      break;
    case "stop.failed":
      if (state.stop !== undefined) state.stop.failed = line.error;
      break;
    case "stop.accepted":
      if (state.stop?.failed !== undefined) delete state.stop.failed;
      break;
    case "submit.warning":
      state.because = line.because;
      break;
    case "run.timed_out":
      state.timedOut = line.because;
      break;
    case "run.recovered":
      state.recoveries += 1;
      if (state.startedAt !== undefined)
        state.workedMs += Math.max(
          0,
          Date.parse(line.workedUntil ?? from) - Date.parse(workedFrom(state)),
        );
      state.resumedAt = at;
      break;
    case "run.function_ended":
      state.function = "ended";
      if (line.error !== undefined) state.functionError = line.error;
      if (line.unawaited !== undefined) state.unawaited = line.unawaited;
      break;
    case "run.finished":
      state.phase = "finished";
      state.finished = {
        status: line.status,
        because: line.because,
        at,
        durationMs: line.durationMs,
        ...(line.workedMs === undefined ? {} : { workedMs: line.workedMs }),
      };
      break;
    case "run.overdue":
      break;
    case "run.waits":
      state.waits.set(line.on.join("+"), line.because);
      break;
    case "hook.completed":
    case "hook.failed":
      hookEnded(state, line);
      break;
  }
}

/** What was given with the submission stands in the snapshot from here on. */
function takeGiven(state: RunState, line: Extract<RunEvent, { type: "submit.given" }>): void {
  const { snapshot } = state;
  const given = line.stepEnvironments ?? {};
  const steps = snapshot.steps.map((step) => {
    const own = Object.hasOwn(given, step.id) ? given[step.id] : undefined;
    return own === undefined ? step : { ...step, env: { ...step.env, ...own } };
  });
  state.snapshot = {
    ...snapshot,
    orchestrator: line.orchestrator ?? snapshot.orchestrator,
    baseEnv: { ...snapshot.baseEnv, ...line.baseEnvironment },
    stackEnv: line.stackEnvironment ?? snapshot.stackEnv,
    steps,
  };
  for (const spec of steps) state.steps.get(spec.id)!.spec = spec;
  if (line.orchestratorHooks === undefined) return;
  state.orchestratorHooks = line.orchestratorHooks;
  Object.assign(state, owedHooks(snapshot, state.orchestratorHooks));
}

function workedFrom(state: RunState): string {
  return state.resumedAt ?? state.startedAt ?? state.submittedAt;
}

type StepEvent = Extract<RunEvent, { type: `step.${string}` }>;

function isOfStep(line: RunEvent): line is StepEvent {
  return line.type.startsWith("step.");
}

// oxlint-disable-next-line max-lines-per-function -- the fold: a case an event of a step
function evolveStep(state: RunState, line: StepEvent): void {
  const step = state.steps.get(line.step);
  if (step === undefined) {
    if (line.type === "step.added") stepAdded(state, line);
    return;
  }
  const { lastAt: at } = state;
  switch (line.type) {
    case "step.started":
      leave(state, step);
      if (line.attempt === step.attempt) step.reruns += 1;
      step.phase = "running";
      step.status = "running";
      step.attempt = line.attempt;
      step.token = state.lastSeq;
      step.because = line.because;
      // An attempt without a key has a result that answers no step, whatever key one before it had.
      if (line.cacheKey !== undefined) step.cacheKey = line.cacheKey;
      else if (step.cacheKey !== undefined) delete step.cacheKey;
      if (line.elsewhere === true) step.elsewhere = true;
      if (step.spec.on !== undefined) state.waits.delete(step.spec.on.join("+"));
      step.startedAt ??= at;
      // Even a delete of an absent member would make V8 keep the step as a dictionary.
      if (step.retryAt !== undefined) delete step.retryAt;
      addAttempt(step, { attempt: line.attempt, status: "running", startedAt: at });
      state.running.add(line.step);
      break;
    case "step.placed": {
      const last = step.attempts.at(-1);
      if (last?.status === "running")
        last.placed = { place: line.place, host: line.host, ref: line.ref };
      break;
    }
    case "step.completed":
      endAttempt(step, "completed", at);
      step.outputs = line.outputs;
      if (step.error !== undefined) delete step.error;
      owe(state, step, "onSuccess");
      end(state, step, "completed", at);
      meet(state, line.step);
      break;
    case "step.cached":
      step.outputs = line.outputs;
      step.source = line.source;
      step.because = line.because;
      if (line.cacheKey !== undefined) step.cacheKey = line.cacheKey;
      step.startedAt = at;
      end(state, step, "cached", at);
      meet(state, line.step);
      break;
    case "step.failed":
      step.error = line.error;
      step.rerun = false;
      if (line.because !== undefined) step.because = line.because;
      // Nobody asks for the attempt that could have followed: the last one was the last.
      if (step.phase === "delayed" && line.retryAt === undefined) endRetries(step);
      endAttempt(step, line.retryAt === undefined ? "failed" : "retried", at, line.error);
      if (line.retryAt !== undefined) delay(state, step, Date.parse(line.retryAt));
      else fail(state, step, at);
      break;
    case "step.interrupted":
      step.because = line.because;
      step.alone = line.alone === true;
      endAttempt(step, line.next === "fail" ? "failed" : "retried", at);
      if (line.next === "fail") {
        step.error = { name: "Interrupted", message: line.because };
        fail(state, step, at);
      } else {
        step.rerun = line.next === "rerun";
        delay(state, step, line.retryAt === undefined ? Date.parse(at) : Date.parse(line.retryAt));
      }
      break;
    case "step.stopped":
      endAttempt(step, "stopped", at);
      step.because = line.because;
      state.stoppedSteps += 1;
      end(state, step, "stopped", at);
      doom(state, line.step, `upstream step "${line.step}" was stopped`);
      break;
    case "step.skipped":
      step.because = line.because;
      end(state, step, "skipped", at);
      doom(state, line.step, `upstream step "${line.step}" was skipped`);
      break;
    case "step.added":
    case "step.result_refused":
      break;
  }
}

function stepAdded(state: RunState, line: Extract<StepEvent, { type: "step.added" }>): void {
  const step = addStep(state, line.spec);
  if (line.call !== undefined) step.call = line.call;
  if (line.values !== undefined) step.values = line.values;
  settle(state, line.spec.id);
}

/** Which hooks a run owes that its pipeline has, or that its orchestrator's class overrides. */
function owedHooks(
  { hooks }: Snapshot,
  overridden: RunState["orchestratorHooks"],
): { init: "none" | "owed"; cleanup: "none" | "owed" } {
  const owed = (hook: "init" | "cleanup"): "none" | "owed" =>
    hooks?.[hook] === undefined && !overridden.includes(hook) ? "none" : "owed";
  return { init: owed("init"), cleanup: owed("cleanup") };
}

function begin(line: Extract<RunLine, { type: "run.submitted" }>): RunState {
  const { hooks, steps, dynamic } = line.snapshot;
  const overridden = line.orchestratorHooks ?? [];
  const state: RunState = {
    run: line.run,
    pipeline: line.pipeline,
    orchestratorRunId: line.orchestratorRunId,
    trigger: line.trigger,
    params: line.params,
    snapshot: line.snapshot,
    tags: line.tags,
    reuse: line.reuse ?? {},
    submittedAt: line.at,
    ...(line.group === undefined ? {} : { group: line.group }),
    orchestratorHooks: overridden,
    phase: "submitted",
    submission: "none",
    steps: new Map(),
    dependents: new Map(),
    ready: new Set(),
    readyIn: {},
    running: new Set(),
    delayed: new Set(),
    farLanes: new Set(),
    startLimits: new TimedKeys(),
    waits: new Map(),
    doomed: new Map(),
    owedHooks: new Map(),
    ended: 0,
    failed: 0,
    stoppedSteps: 0,
    ...owedHooks(line.snapshot, overridden),
    runFailureHook: hooks?.onRunFailure === undefined ? "none" : "owed",
    function: dynamic === undefined ? "none" : "owed",
    workedMs: 0,
    recoveries: 0,
    lastSeq: line.seq,
    lastAt: line.at,
  };
  for (const spec of steps ?? []) addStep(state, spec);
  for (const id of state.steps.keys()) settle(state, id);
  return state;
}

function addStep(state: RunState, spec: SnapshotStep): StepState {
  const step: StepState = {
    spec,
    phase: "waiting",
    status: "initializing",
    attempt: 0,
    reruns: 0,
    token: 0,
    unmet: 0,
    alone: false,
    rerun: false,
    attempts: [],
  };
  state.steps.set(spec.id, step);
  if (spec.on !== undefined) state.farLanes.add(laneOf(spec));
  for (const upstream of upstreamOf(spec)) {
    const list = state.dependents.get(upstream);
    if (list === undefined) state.dependents.set(upstream, [spec.id]);
    else list.push(spec.id);
    const before = state.steps.get(upstream);
    if (before === undefined || !endedWell(before)) step.unmet += 1;
    if (before !== undefined && before.phase === "ended" && !endedWell(before)) {
      state.doomed.set(
        spec.id,
        before.status === "failed"
          ? `upstream step "${upstream}" failed`
          : `upstream step "${upstream}" was ${before.status}`,
      );
    }
  }
  return step;
}

/** Makes a step ready if it lacks nothing. */
function settle(state: RunState, id: string): void {
  const step = state.steps.get(id);
  if (step === undefined || step.phase !== "waiting" || step.unmet > 0 || state.doomed.has(id))
    return;
  step.phase = "ready";
  state.ready.add(id);
  const lane = laneOf(step.spec);
  state.readyIn[lane] = (state.readyIn[lane] ?? 0) + 1;
  if (step.spec.startWithinMs !== undefined) waitFrom(state, step, Date.parse(state.lastAt));
}

/** A step waits for room from a moment on, if it does so for a while only. */
function waitFrom(state: RunState, { spec }: StepState, from: number): void {
  if (spec.startWithinMs === undefined) return;
  const began = Date.parse(state.startedAt ?? state.submittedAt);
  state.startLimits.set(spec.id, Math.max(from, began) + spec.startWithinMs);
}

/** The run begins: a step that waited for that has its whole limit from now on. */
function wholeLimits({ startLimits, steps }: RunState, at: number): void {
  if (startLimits.size === 0) return;
  startLimits.move((id, end) => Math.max(end, at + steps.get(id)!.spec.startWithinMs!));
}

function meet(state: RunState, id: string): void {
  for (const dependent of state.dependents.get(id) ?? []) {
    const step = state.steps.get(dependent);
    if (step === undefined) continue;
    step.unmet -= 1;
    settle(state, dependent);
  }
}

function doom(state: RunState, id: string, because: string): void {
  for (const dependent of state.dependents.get(id) ?? []) {
    const step = state.steps.get(dependent);
    if (step !== undefined && step.phase !== "ended" && !state.doomed.has(dependent))
      state.doomed.set(dependent, because);
  }
}

function leave(state: RunState, step: StepState): void {
  const { id } = step.spec;
  if (step.phase === "running") state.running.delete(id);
  else if (step.phase === "delayed") state.delayed.delete(id);
  else if (step.phase === "ready" && state.ready.delete(id)) state.readyIn[laneOf(step.spec)]! -= 1;
  if (state.doomed.size > 0) state.doomed.delete(id);
  if (state.startLimits.size > 0) state.startLimits.delete(id);
}

function end(state: RunState, step: StepState, status: Status, at: string): void {
  leave(state, step);
  if (step.phase !== "ended") state.ended += 1;
  step.phase = "ended";
  step.status = status;
  step.finishedAt = at;
}

/** To push onto an empty list has V8 make room for seventeen, and most steps have one attempt. */
function addAttempt(step: StepState, attempt: AttemptState): void {
  if (step.attempts.length === 0) step.attempts = [attempt];
  else step.attempts.push(attempt);
}

function endAttempt(step: StepState, status: Status, at: string, error?: StepError): void {
  const last = step.attempts.at(-1);
  if (last === undefined || last.status !== "running") return;
  last.status = status;
  last.finishedAt = at;
  if (error !== undefined) last.error = error;
}

function endRetries({ attempts }: StepState): void {
  const last = attempts.at(-1);
  if (last?.status === "retried") last.status = "failed";
}

function delay(state: RunState, step: StepState, until: number): void {
  leave(state, step);
  step.phase = "delayed";
  step.status = "retrying";
  step.retryAt = until;
  state.delayed.add(step.spec.id);
  waitFrom(state, step, until);
}

function fail(state: RunState, step: StepState, at: string): void {
  state.failed += 1;
  state.firstFailure ??= step.spec.id;
  owe(state, step, "onFailure");
  end(state, step, "failed", at);
  doom(state, step.spec.id, `upstream step "${step.spec.id}" failed`);
}

function owe(state: RunState, step: StepState, hook: OwedHook["hook"]): void {
  if (stepHook(state.snapshot, step.spec, hook) === undefined) return;
  state.owedHooks.set(`${hook}:${step.spec.id}`, { hook, step: step.spec.id });
}

function hookEnded(
  state: RunState,
  line: Extract<RunEvent, { type: "hook.completed" | "hook.failed" }>,
): void {
  if (line.step !== undefined) state.owedHooks.delete(`${line.hook}:${line.step}`);
  else if (line.hook === "init") {
    state.init = line.type === "hook.completed" ? "done" : "failed";
    if (line.type === "hook.failed") {
      state.initError = line.error;
      state.cleanup = "none";
    } else if (line.state !== undefined) state.hookState = line.state;
  } else if (line.hook === "cleanup") state.cleanup = "done";
  else if (line.hook === "onRunFailure") state.runFailureHook = "done";
}
