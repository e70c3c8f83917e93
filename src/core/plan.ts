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
import { currentAttempt, NOT_ASKED, retryDue } from "./attempt-end.ts";
import { formatDuration } from "./duration.ts";
import { FAILURE_CODES, failureText, type StepError } from "./failure.ts";
import { haltReason, type Halt } from "./halt.ts";
import { laneOf, type Lane, type Room } from "./lane.ts";
import type { OwedHook, RunState, StepState } from "./run-state.ts";
import type { SnapshotStep } from "./snapshot.ts";
import { allEnded, hasFailed } from "./run-status.ts";
import type { FinalRunStatus } from "./status.ts";

/** What the planner must know of a user's orchestrator that has the run. */
export interface DelegatedFacts {
  /**
   * The steps that it asked for. Undefined for a dynamic pipeline: its function says which steps
   * there are.
   */
  readonly requested?: ReadonlySet<string>;
  /** It may ask for more. */
  readonly open: boolean;
  /**
   * If it retries steps itself: the attempt that it asked for last, by step. Undefined: orchd
   * retries.
   */
  readonly again?: ReadonlyMap<string, number>;
  /** It has a `stopRun`, and may have the run. Undefined: there is nothing to tell it. */
  readonly stopRun?: {
    /** The strongest stop that it was told. */
    readonly told?: "graceful" | "force" | undefined;
    /** It has not answered yet. */
    readonly answering: boolean;
    /** Steps that it did not ask for may run where it is, until it says that the run has ended. */
    readonly elsewhere: boolean;
  };
}

/**
 * How long an orchestrator that retries steps itself may take to ask again, in milliseconds after
 * the time that the step's policy gives, while a step that it asked for waits for this one.
 */
const ASK_AGAIN_MS = 60_000;

/** What the planner must know besides the ledger. */
export interface PlanFacts {
  /** Wall time, milliseconds since 1970. */
  readonly now: number;
  /** How many more steps may start right now. */
  readonly capacity: Room;
  /**
   * How much room a step takes that starts for the first time: 1, or a part of it where the step
   * may be begun ahead of a free thread. Undefined: each step takes 1.
   */
  readonly share?: (spec: SnapshotStep) => number;
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
  /** If a user's orchestrator has the run. */
  readonly delegated?: DelegatedFacts;
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
      /** How much room it takes, if less than 1. */
      readonly share?: number;
      readonly because: string;
    }
  | { readonly kind: "skip"; readonly step: string; readonly because: string }
  | {
      readonly kind: "stopStep";
      readonly step: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /** The run's orchestrator stops what it started itself. */
  | {
      readonly kind: "stopElsewhere";
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /** A step's failure stands: the orchestrator does not ask for the attempt that could follow. */
  | { readonly kind: "giveUp"; readonly step: string; readonly because: string }
  /** A step has waited for room for as long as it may. */
  | { readonly kind: "expire"; readonly step: string; readonly because: string }
  /** A step that waits for its next attempt will not get it; one elsewhere is not heard of. */
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
  if (halt?.stop === undefined) endUntold(state, facts, halt, actions);
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
        !state.doomed.has(id) &&
        !mayRunElsewhere(id, facts)
      ) {
        actions.push({ kind: "skip", step: id, because: halt.because });
      }
    }
  }
  if (halt.stop === undefined) return;
  const { stopRun } = facts.delegated ?? {};
  if (stopRun !== undefined && stopRun.told !== halt.stop && stopRun.told !== "force")
    actions.push({ kind: "stopElsewhere", mode: halt.stop, because: halt.because });
  for (const step of state.running) {
    if (state.steps.get(step)!.elsewhere === true) {
      // Nobody can tell any more what becomes of it.
      if (!mayRunElsewhere(step, facts))
        actions.push({ kind: "endDelayed", step, because: halt.because });
      continue;
    }
    const told = facts.stopping.get(step);
    if (told !== halt.stop && told !== "force")
      actions.push({ kind: "stopStep", step, mode: halt.stop, because: halt.because });
  }
}

/**
 * Ends the steps elsewhere that nobody tells of any more: the run is over there, or its
 * orchestrator is not there. Those of a run that stops are {@link haltSteps}' own.
 */
function endUntold(
  state: RunState,
  { delegated }: PlanFacts,
  halt: Halt | undefined,
  actions: Action[],
): void {
  if (state.submission === "none" || delegated?.open === true) return;
  const because = halt?.because ?? "the orchestrator tells no more of it";
  for (const step of state.running)
    if (state.steps.get(step)!.elsewhere === true)
      actions.push({ kind: "endDelayed", step, because });
}

/** Whether only the orchestrator can say what becomes of a step. */
function mayRunElsewhere(step: string, { delegated }: PlanFacts): boolean {
  return delegated?.stopRun?.elsewhere === true && delegated.requested?.has(step) === false;
}

/** How many steps may still start in this plan: of all lanes together, and of each. */
interface RoomLeft {
  all: number;
  readonly of: { [lane: Lane]: number };
}

function launchSteps(state: RunState, facts: PlanFacts, actions: Action[]): void {
  const under = state.running.size + facts.launching.size;
  const room = { all: state.snapshot.maxParallelSteps - under, of: { ...facts.capacity } };
  let wakeAt = launchDelayed(state, facts, room, actions);
  launchReady(state, facts, room, actions);
  if (state.startLimits.size > 0) wakeAt = Math.min(wakeAt, expireSteps(state, facts, actions));
  if (wakeAt < Number.POSITIVE_INFINITY)
    actions.push({ kind: "wake", at: wakeAt, because: "a retry is due, or a wait is over" });
}

/** Starts attempts after failed or interrupted ones. @returns when the next of them is due */
function launchDelayed(
  state: RunState,
  facts: PlanFacts,
  room: RoomLeft,
  actions: Action[],
): number {
  let wakeAt = Number.POSITIVE_INFINITY;
  for (const id of state.delayed) {
    const step = state.steps.get(id)!;
    const due = retryDue(step, facts.now);
    const lane = laneOf(step.spec);
    if (isUnasked(step, facts)) {
      if (!isWaitedFor(id, state, facts)) continue;
      if (due + ASK_AGAIN_MS > facts.now) wakeAt = Math.min(wakeAt, due + ASK_AGAIN_MS);
      else actions.push({ kind: "giveUp", step: id, because: NOT_ASKED });
    } else if (due > facts.now && facts.delegated?.again === undefined)
      wakeAt = Math.min(wakeAt, due);
    else if (room.all > 0 && (room.of[lane] ?? 0) > 0 && !facts.launching.has(id)) {
      actions.push(
        launch(
          step,
          step.rerun
            ? "starts again after an interruption"
            : `retry ${step.attempt} of ${step.spec.retry.maxRetries}`,
        ),
      );
      room.of[lane]! -= 1;
      room.all -= 1;
    }
  }
  return wakeAt;
}

/**
 * Starts steps that are ready. A step whose lane has no room is passed over only while a step of a
 * lane that has room may follow: `open` counts these lanes.
 */
function launchReady(state: RunState, facts: PlanFacts, room: RoomLeft, actions: Action[]): void {
  const requested = facts.delegated?.requested;
  const left: { [lane: Lane]: number } = { ...state.readyIn };
  let open = 0;
  for (const lane in left) if (left[lane]! > 0 && (room.of[lane] ?? 0) > 0) open += 1;
  for (const id of state.ready) {
    if (room.all <= 0 || open <= 0) break;
    const step = state.steps.get(id)!;
    const lane = laneOf(step.spec);
    const space = room.of[lane] ?? 0;
    const behind = (left[lane]! -= 1);
    if (behind === 0 && space > 0) open -= 1;
    if (space <= 0 || facts.launching.has(id) || requested?.has(id) === false) continue;
    const because = requested === undefined ? readyReason(step) : "the orchestrator asked for it";
    const share = facts.share?.(step.spec) ?? 1;
    actions.push(launch(step, because, share));
    room.of[lane] = space - share;
    if (space <= share && behind > 0) open -= 1;
    room.all -= 1;
  }
}

/**
 * Gives up steps that have waited for room for as long as they may, and that no room was found for
 * now. It costs what is due. @returns when the next one's wait is over
 */
function expireSteps(state: RunState, facts: PlanFacts, actions: Action[]): number {
  const { keys: steps, next } = state.startLimits.over(facts.now);
  if (steps.length === 0) return next;
  const starting = new Set(facts.launching);
  for (const action of actions) if (action.kind === "launch") starting.add(action.step);
  for (const id of steps) {
    const step = state.steps.get(id)!;
    if (starting.has(id) || facts.delegated?.requested?.has(id) === false) continue;
    if (step.phase === "delayed" && isUnasked(step, facts)) continue;
    actions.push({
      kind: "expire",
      step: id,
      because: `it did not start within ${formatDuration(step.spec.startWithinMs!)}`,
    });
  }
  return next;
}

/** Whether any step could start with this much room. It says no more than that one may. */
export function couldStart({ readyIn, delayed }: RunState, room: Room): boolean {
  for (const lane in room)
    if (room[lane]! > 0 && (delayed.size > 0 || (readyIn[lane] ?? 0) > 0)) return true;
  return false;
}

/** Whether a step waits for an orchestrator that retries itself. */
function isUnasked(step: StepState, { delegated }: PlanFacts): boolean {
  return (
    delegated?.again !== undefined &&
    !step.rerun &&
    delegated.again.get(step.spec.id) !== step.attempt + 1
  );
}

/** Whether the orchestrator asked for a step that cannot start before this one has ended. */
function isWaitedFor(id: string, state: RunState, { delegated }: PlanFacts): boolean {
  const after = [id];
  const seen = new Set(after);
  for (const step of after) {
    for (const dependent of state.dependents.get(step) ?? []) {
      if (seen.has(dependent) || state.steps.get(dependent)?.phase === "ended") continue;
      if (delegated?.requested?.has(dependent) === true) return true;
      seen.add(dependent);
      after.push(dependent);
    }
  }
  return false;
}

function launch(state: StepState, because: string, share = 1): Extract<Action, { kind: "launch" }> {
  const { alone } = state;
  const { id: step } = state.spec;
  const attempt = state.rerun ? currentAttempt(state) : state.attempt + 1;
  return share < 1
    ? { kind: "launch", step, attempt, alone, share, because }
    : { kind: "launch", step, attempt, alone, because };
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
  const { delegated } = facts;
  // Its error is told before the run's last line.
  if (delegated?.stopRun?.answering === true) return;
  if (delegated?.open === true && (halt === undefined || isFunctionsEnd(state, halt))) return;
  if (
    delegated?.requested !== undefined &&
    delegated.stopRun?.elsewhere !== true &&
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

/** Whether a run halts only because its function threw: the orchestrator is about to hear of it. */
function isFunctionsEnd(state: RunState, halt: Halt): boolean {
  return (
    state.functionError !== undefined &&
    halt.stop === undefined &&
    state.submissionError === undefined &&
    state.init !== "failed"
  );
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
  if (state.failed > 0) {
    const [unawaited] = state.unawaited ?? [];
    const said =
      unawaited === undefined
        ? `it handled the failure of step "${state.firstFailure ?? ""}"`
        : `warning: step "${unawaited}" failed and nothing awaited it`;
    return { status: "completed", because: `the function returned; ${said}` };
  }
  return {
    status: "completed",
    because: state.steps.size === 0 ? "there was nothing to run" : "all steps ended well",
  };
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
