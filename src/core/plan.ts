/**
 * What to do next in a run, and why.
 *
 * `plan` looks at a run's state and at facts that no ledger holds (how much room there is, what is
 * under way). It returns actions. The run-loop carries them out, appends what came of them, and
 * asks again until there is nothing to do.
 *
 * This is the only place that decides about steps: a first start, a retry, a start after a crash
 * and a stop all come from the same few lines. Planning costs what changed: it never walks all
 * steps.
 */
import type { RunEvent } from "./event.ts";
import { FAILURE_CODES, failureText, type StepError } from "./failure.ts";
import { laneOf, type Lane, type Room } from "./lane.ts";
import { isRetried, retryDelay } from "./retry.ts";
import type { OwedHook, RunState, StepState } from "./run-state.ts";
import { allEnded, hasFailed } from "./run-status.ts";
import type { FinalRunStatus } from "./status.ts";
import { iso } from "./time.ts";

/** What the planner must know besides the ledger. */
export interface PlanFacts {
  /** Wall time, milliseconds since 1970. */
  readonly now: number;
  /** How many more steps may start right now. */
  readonly capacity: Room;
  /** The daemon is about to end: nothing new starts. */
  readonly draining: boolean;
  /** Steps that are being prepared (inputs, cache) and have no `step.started` line yet. */
  readonly launching: ReadonlySet<string>;
  /** The strongest stop that each running step has been given. */
  readonly stopping: ReadonlyMap<string, "graceful" | "force">;
  /** Hooks that are under way: `HOOK` or `HOOK:STEP`. */
  readonly hooks: ReadonlySet<string>;
  /** A dynamic pipeline's function is running. */
  readonly functionRunning: boolean;
  /**
   * If the orchestrator decides which steps run: the steps that it asked for, and whether it may
   * ask for more.
   */
  readonly delegated?: { readonly requested: ReadonlySet<string>; readonly open: boolean };
  /** The init hook waits: the orchestrator calls it at a moment of its own. */
  readonly holdsInit?: boolean;
}

/** One thing to do. Every action says why. */
export type Action =
  | {
      readonly kind: "launch";
      readonly step: string;
      readonly attempt: number;
      readonly alone: boolean;
      readonly because: string;
    }
  | { readonly kind: "skip"; readonly step: string; readonly because: string }
  | {
      readonly kind: "stopStep";
      readonly step: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /** A step that waits for its next attempt will not get it. */
  | { readonly kind: "endDelayed"; readonly step: string; readonly because: string }
  | {
      readonly kind: "hook";
      readonly hook: "init" | "cleanup" | "onRunFailure" | OwedHook["hook"];
      readonly step?: string;
      readonly because: string;
    }
  | { readonly kind: "startFunction"; readonly because: string }
  | { readonly kind: "stopFunction"; readonly because: string }
  | { readonly kind: "wake"; readonly at: number; readonly because: string }
  | { readonly kind: "finish"; readonly status: FinalRunStatus; readonly because: string };

/** What to do next. Empty if there is nothing to do until something happens. */
export function plan(state: RunState, facts: PlanFacts): Action[] {
  if (state.phase === "finished" || (state.phase !== "started" && state.stop === undefined))
    return [];
  const actions: Action[] = [];
  const halt = haltReason(state);
  skipDoomed(state, facts, actions);
  if (halt !== undefined) haltSteps(state, facts, halt, actions);
  for (const [key, owed] of state.owedHooks) {
    if (!facts.hooks.has(key))
      actions.push({
        kind: "hook",
        hook: owed.hook,
        step: owed.step,
        because: `step "${owed.step}" ended`,
      });
  }
  if (halt === undefined && !facts.draining) {
    // If nothing is left to run (every step came from the cache), there is nothing to set up
    // either.
    if (state.init === "owed" && !allEnded(state)) {
      if (!facts.hooks.has("init") && facts.holdsInit !== true)
        actions.push({ kind: "hook", hook: "init", because: "the run begins" });
      return actions;
    }
    if (state.function === "owed" && !facts.functionRunning)
      actions.push({ kind: "startFunction", because: startReason(state) });
    launchSteps(state, facts, actions);
  }
  if (actions.length === 0) finish(state, facts, halt, actions);
  return actions;
}

/**
 * Why nothing new may start: a stop, a time limit, a failed init hook, or a failure under a mode
 * that ends the run.
 */
interface Halt {
  readonly because: string;
  /** What running steps are told. Undefined: they may finish. */
  readonly stop?: "graceful" | "force";
}

/** Whether nothing new may start in a run any more. */
export function isHalted(state: RunState): boolean {
  return haltReason(state) !== undefined;
}

function haltReason(state: RunState): Halt | undefined {
  if (state.stop !== undefined)
    return { because: "the run was asked to stop", stop: state.stop.mode };
  if (state.timedOut !== undefined) return { because: state.timedOut, stop: "force" };
  if (state.submissionError !== undefined)
    return { because: `the orchestrator did not take the run: ${state.submissionError.message}` };
  if (state.init === "failed")
    return { because: `the init hook failed: ${state.initError?.message ?? "no reason given"}` };
  if (state.functionError !== undefined)
    return { because: `the pipeline's function failed: ${state.functionError.message}` };
  if (state.failed === 0) return undefined;
  const failed = `step "${state.firstFailure ?? ""}" failed`;
  switch (state.snapshot.executionMode) {
    case "continue_on_failure":
      return undefined;
    case "stop_on_failure":
      return { because: `${failed} and the execution mode is stop_on_failure` };
    case "fail_fast":
      return { because: `${failed} and the execution mode is fail_fast`, stop: "force" };
  }
}

function skipDoomed(state: RunState, facts: PlanFacts, actions: Action[]): void {
  for (const [step, because] of state.doomed) {
    if (!facts.launching.has(step)) actions.push({ kind: "skip", step, because });
  }
}

function haltSteps(state: RunState, facts: PlanFacts, halt: Halt, actions: Action[]): void {
  if (
    state.function === "owed" &&
    (facts.functionRunning || halt.stop !== undefined || state.init === "failed")
  ) {
    actions.push({ kind: "stopFunction", because: halt.because });
  }
  for (const step of state.delayed)
    actions.push({ kind: "endDelayed", step, because: halt.because });
  if (state.steps.size - state.ended > state.running.size + state.delayed.size) {
    // Once for each run, when it halts: every step that has not begun gets the reason why it never
    // will.
    for (const [id, step] of state.steps) {
      if (
        (step.phase === "waiting" || step.phase === "ready") &&
        !facts.launching.has(id) &&
        !state.doomed.has(id)
      ) {
        actions.push({ kind: "skip", step: id, because: halt.because });
      }
    }
  }
  if (halt.stop === undefined) return;
  for (const step of state.running) {
    const told = facts.stopping.get(step);
    if (told !== halt.stop && told !== "force")
      actions.push({ kind: "stopStep", step, mode: halt.stop, because: halt.because });
  }
}

function launchSteps(state: RunState, facts: PlanFacts, actions: Action[]): void {
  const under = state.running.size + facts.launching.size;
  let room = state.snapshot.maxParallelSteps - under;
  const roomIn: { [lane: Lane]: number } = { ...facts.capacity };
  let wakeAt = Number.POSITIVE_INFINITY;
  for (const id of state.delayed) {
    const step = state.steps.get(id)!;
    const due = step.retryAt ?? 0;
    const lane = laneOf(step.spec);
    if (due > facts.now) wakeAt = Math.min(wakeAt, due);
    else if (room > 0 && (roomIn[lane] ?? 0) > 0 && !facts.launching.has(id)) {
      actions.push(
        launch(
          step,
          step.rerun
            ? "starts again after an interruption"
            : `retry ${step.attempt} of ${step.spec.retry.maxRetries}`,
        ),
      );
      roomIn[lane]! -= 1;
      room -= 1;
    }
  }
  // A step whose lane has no room is passed over only while a step of a lane that has room may
  // follow: `open` counts these lanes.
  const left: { [lane: Lane]: number } = { ...state.readyIn };
  let open = 0;
  for (const lane in left) if (left[lane]! > 0 && (roomIn[lane] ?? 0) > 0) open += 1;
  for (const id of state.ready) {
    if (room <= 0 || open <= 0) break;
    const step = state.steps.get(id)!;
    const lane = laneOf(step.spec);
    const space = roomIn[lane] ?? 0;
    const behind = (left[lane]! -= 1);
    if (behind === 0 && space > 0) open -= 1;
    if (
      space <= 0 ||
      facts.launching.has(id) ||
      (facts.delegated !== undefined && !facts.delegated.requested.has(id))
    )
      continue;
    actions.push(
      launch(
        step,
        facts.delegated === undefined ? readyReason(step) : "the orchestrator asked for it",
      ),
    );
    roomIn[lane] = space - 1;
    if (space === 1 && behind > 0) open -= 1;
    room -= 1;
  }
  if (wakeAt < Number.POSITIVE_INFINITY)
    actions.push({ kind: "wake", at: wakeAt, because: "a retry is due" });
}

function launch(step: StepState, because: string): Action {
  const attempt = step.rerun ? currentAttempt(step) : step.attempt + 1;
  return { kind: "launch", step: step.spec.id, attempt, alone: step.alone, because };
}

function readyReason(step: StepState): string {
  if (step.call !== undefined) return "the function asked for it";
  return Object.keys(step.spec.inputs).length > 0
    ? "inputs ready"
    : step.spec.after.length > 0
      ? "upstream steps ended"
      : "the run began";
}

function startReason(state: RunState): string {
  return state.recoveries > 0 ? "the run was taken over: the function runs again" : "the run began";
}

function finish(
  state: RunState,
  facts: PlanFacts,
  halt: Halt | undefined,
  actions: Action[],
): void {
  if (
    facts.hooks.size > 0 ||
    facts.launching.size > 0 ||
    state.owedHooks.size > 0 ||
    facts.functionRunning
  )
    return;
  if (facts.delegated !== undefined && facts.delegated.open && halt === undefined) return;
  if (
    facts.delegated !== undefined &&
    !allEnded(state) &&
    state.running.size === 0 &&
    state.delayed.size === 0
  ) {
    for (const [id, step] of state.steps) {
      if (step.phase !== "ended")
        actions.push({
          kind: "skip",
          step: id,
          because: "the orchestrator ended without running it",
        });
    }
    return;
  }
  if (
    !(
      allEnded(state) ||
      (state.function === "owed" && halt !== undefined && state.ended === state.steps.size)
    )
  )
    return;
  const outcome = outcomeOf(state, halt);
  if (outcome.status === "failed" && state.runFailureHook === "owed")
    actions.push({ kind: "hook", hook: "onRunFailure", because: outcome.because });
  else if (state.cleanup === "owed" && state.init !== "owed")
    actions.push({ kind: "hook", hook: "cleanup", because: "the run ends" });
  else actions.push({ kind: "finish", ...outcome });
}

/** How a run ends whose steps have all ended, and why. */
function outcomeOf(
  state: RunState,
  halt: Halt | undefined,
): { status: FinalRunStatus; because: string } {
  if (state.stop !== undefined)
    return { status: "stopped", because: state.stop.because ?? `stopped by ${state.stop.by}` };
  if (hasFailed(state)) {
    const step = state.firstFailure === undefined ? undefined : state.steps.get(state.firstFailure);
    if (
      step !== undefined &&
      state.timedOut === undefined &&
      state.functionError === undefined &&
      state.submissionError === undefined
    ) {
      const reason = step.error === undefined ? "no reason given" : failureText(step.error);
      return { status: "failed", because: `step "${step.spec.id}" failed: ${reason}` };
    }
    return { status: "failed", because: halt?.because ?? "the run failed" };
  }
  if (state.stoppedSteps > 0) return { status: "stopped", because: "a step was stopped" };
  if (state.failed > 0)
    return {
      status: "completed",
      because:
        "the function returned; " +
        `warning: step "${state.firstFailure ?? ""}" failed and nothing awaited it`,
    };
  return {
    status: "completed",
    because: state.steps.size === 0 ? "there was nothing to run" : "all steps ended well",
  };
}

/** What interrupted an attempt, for {@link afterInterruption}. */
export type Interruption =
  /** The daemon ended during the attempt (kill, crash, power). */
  | "daemon"
  /** The time of a drain was up. */
  | "drain"
  /** Its runner died, and the step was not alone in it. */
  | "runner";

/**
 * The line for an attempt that failed. It has `retryAt` if the policy allows another attempt
 * (semantics.md 9, docs/zenml.md "Retries").
 *
 * @param facts.chance a number in [0, 1), for jitter
 * @param facts.mayRetry false if the run is halting, or if the orchestrator retries by itself
 */
export function afterFailure(
  state: RunState,
  id: string,
  error: StepError,
  facts: { readonly now: number; readonly chance: number; readonly mayRetry: boolean },
): Extract<RunEvent, { type: "step.failed" }> {
  const step = state.steps.get(id)!;
  const { retry } = step.spec;
  const event = {
    type: "step.failed" as const,
    step: id,
    attempt: currentAttempt(step),
    error: { ...error },
  };
  if (haltReason(state) !== undefined) return { ...event, because: "the run is ending: no retry" };
  if (!facts.mayRetry || retry.maxRetries === 0) return event;
  if (!isRetried(retry, error))
    return {
      ...event,
      because: `${error.code ?? error.name} is not among the errors that are retried`,
    };
  if (step.attempt > retry.maxRetries)
    return { ...event, because: `${step.attempt} attempts of ${retry.maxRetries + 1} were made` };
  return {
    ...event,
    retryAt: nextAttemptAt(step, facts),
    because: `retry ${step.attempt} of ${retry.maxRetries} follows`,
  };
}

/** How often a step may start again without counting the attempt (semantics.md 13). */
export const MAX_RERUNS = 3;

/**
 * The line for an attempt that was interrupted, by the step's `onInterruption` (semantics.md 13).
 */
export function afterInterruption(
  state: RunState,
  id: string,
  cause: Interruption,
  facts: { readonly now: number; readonly chance: number; readonly because: string },
): Extract<RunEvent, { type: "step.interrupted" }> {
  const step = state.steps.get(id)!;
  const { onInterruption, retry } = step.spec;
  const event = { type: "step.interrupted" as const, step: id, attempt: currentAttempt(step) };
  const failed = (why: string) => ({
    ...event,
    next: "fail" as const,
    because: `${facts.because}; ${why}`,
  });
  if (haltReason(state)?.stop !== undefined) return failed("the run is ending");
  if (onInterruption === "fail") return failed("onInterruption is fail");
  if (cause === "runner" || onInterruption === "rerun") {
    if (step.reruns >= MAX_RERUNS)
      return failed(`it was started again ${MAX_RERUNS} times already`);
    return {
      ...event,
      next: "rerun",
      because: facts.because,
      ...(cause === "runner" ? { alone: true } : {}),
    };
  }
  if (step.attempt > retry.maxRetries)
    return failed(
      retry.maxRetries === 0 ? "the step has no retries" : `${step.attempt} attempts were made`,
    );
  return { ...event, next: "retry", retryAt: nextAttemptAt(step, facts), because: facts.because };
}

/** The attempt that a line about a step names. Lines count attempts from 1. */
function currentAttempt(step: StepState): number {
  return Math.max(1, step.attempt);
}

/** When the next attempt may start, by the step's retry policy. */
function nextAttemptAt(
  step: StepState,
  facts: { readonly now: number; readonly chance: number },
): string {
  return iso(facts.now + retryDelay(step.spec.retry, step.attempt, facts.chance));
}

/**
 * The error of a task that was alone in its runner when the runner died.
 *
 * @param what `step "read"`
 */
export function runnerDeath(
  what: string,
  { because, code }: { readonly because: string; readonly code: string },
): StepError {
  return {
    name: code === FAILURE_CODES.memory ? "OutOfMemory" : "RunnerDied",
    message: `${what} ended its runner process: ${because}`,
    code,
  };
}
