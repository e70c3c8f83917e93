/** The line for an attempt that ended badly. It says whether another attempt follows. */
import type { RunEvent } from "./event.ts";
import { FAILURE_CODES, type StepError } from "./failure.ts";
import { isHalted, stopModeOf } from "./halt.ts";
import { isRetried, retryDelay } from "./retry.ts";
import type { RunState, StepState } from "./run-state.ts";
import { iso } from "./time.ts";

/** Why a failure stands that the orchestrator could have retried. */
export const NOT_ASKED = "the orchestrator asked for no further attempt";

/** What interrupted an attempt, for {@link afterInterruption}. */
export type Interruption =
  /** The daemon ended during the attempt (kill, crash, power). */
  | "daemon"
  /** The attempt had not begun: it waited in a runner, or on the way there. */
  | "waiting"
  /** The time of a drain was up. */
  | "drain"
  /** Its runner died, the step was not alone in it, and may be to blame. */
  | "runner"
  /** Its runner died, and other steps may be to blame: this one was behind them. */
  | "behind"
  /** The machine that it ran on was lost, or the way to it: no step is to blame. */
  | "machine";

/**
 * The line for an attempt that failed. It has `retryAt` if the policy allows another attempt
 * (semantics.md 9, docs/zenml.md "Retries").
 *
 * @param facts.chance a number in [0, 1), for jitter
 * @param facts.mayRetry false if nobody starts another attempt
 * @param facts.isAsked the orchestrator starts the next one, by asking for the step again
 */
export function afterFailure(
  state: RunState,
  id: string,
  error: StepError,
  facts: {
    readonly now: number;
    readonly chance: number;
    readonly mayRetry: boolean;
    readonly isAsked?: boolean;
  },
): Extract<RunEvent, { type: "step.failed" }> {
  const step = state.steps.get(id)!;
  const { retry } = step.spec;
  const event = {
    type: "step.failed" as const,
    step: id,
    attempt: currentAttempt(step),
    error: { ...error },
  };
  if (isHalted(state)) return { ...event, because: "the run is ending: no retry" };
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
    because:
      facts.isAsked === true
        ? `the orchestrator may ask for retry ${step.attempt} of ${retry.maxRetries}`
        : `retry ${step.attempt} of ${retry.maxRetries} follows`,
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
  if (stopModeOf(state) !== undefined) return failed("the run is ending");
  // It did nothing yet: to start it again is no second run.
  if (cause === "waiting" && step.reruns < MAX_RERUNS)
    return { ...event, next: "rerun", because: facts.because };
  if (onInterruption === "fail") return failed("onInterruption is fail");
  if (cause === "runner" || cause === "behind" || onInterruption === "rerun") {
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
export function currentAttempt(step: StepState): number {
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
 * When a step that waits for its next attempt may start, in milliseconds since 1970.
 *
 * A clock that is behind the end of the last attempt was set back. How long the step has waited is
 * not known then: it starts now, and does not wait for as long as the clock was ahead.
 */
export function retryDue({ retryAt = 0, attempts }: StepState, now: number): number {
  const ended = retryAt > now ? attempts.at(-1)?.finishedAt : undefined;
  return ended !== undefined && Date.parse(ended) > now ? now : retryAt;
}

/**
 * The line that a step's failure stands: the orchestrator retries steps itself, and asks for no
 * further attempt.
 */
export function afterRetries(
  state: RunState,
  id: string,
): Extract<RunEvent, { type: "step.failed" }> {
  const step = state.steps.get(id)!;
  const error = step.attempts.at(-1)?.error ?? {
    name: "Interrupted",
    message: step.because ?? "it was interrupted",
  };
  return {
    type: "step.failed",
    step: id,
    attempt: currentAttempt(step),
    error: { ...error },
    because: NOT_ASKED,
  };
}

/**
 * The line for a step that has waited for room for as long as it may (`startWithin`).
 *
 * @param because `it did not start within 5m`
 * @param why why it got no room, in a sentence; undefined: others took it
 */
export function afterWait(
  state: RunState,
  id: string,
  because: string,
  why: string | undefined,
): Extract<RunEvent, { type: "step.failed" }> {
  const step = state.steps.get(id)!;
  const reason = why ?? "there was no room for it where it runs";
  return {
    type: "step.failed",
    step: id,
    attempt: currentAttempt(step),
    error: { name: "PlaceError", message: `${because}: ${reason}`, code: FAILURE_CODES.place },
    because,
  };
}
