/**
 * What a run's state means: its status by ZenML's precedence, and the questions that both the
 * status and the planner ask. Nothing here changes a run.
 */
import type { RunState } from "./run-state.ts";
import type { Status } from "./status.ts";

/** A run's status by ZenML's precedence, and whether it can still change. */
export function runStatus(state: RunState): {
  readonly status: Status;
  readonly inProgress: boolean;
} {
  if (state.finished !== undefined) return { status: state.finished.status, inProgress: false };
  return { status: openStatus(state), inProgress: true };
}

/** Whether every step has ended, and a dynamic pipeline's function too. */
export function allEnded(state: RunState): boolean {
  return state.ended === state.steps.size && state.function !== "owed";
}

function openStatus(state: RunState): Status {
  const ended = allEnded(state);
  if (state.stop !== undefined) return ended ? "stopped" : "stopping";
  if (hasFailed(state)) return "failed";
  if (ended && state.stoppedSteps > 0) return "stopped";
  if (state.phase !== "started") return "initializing";
  return ended ? "completed" : "running";
}

/**
 * Whether the run can only end failed. In a dynamic pipeline under `continue_on_failure` the
 * function decides: a failure that it caught or did not await does not fail the run.
 */
export function hasFailed(state: RunState): boolean {
  if (
    state.init === "failed" ||
    state.timedOut !== undefined ||
    state.functionError !== undefined ||
    state.submissionError !== undefined
  )
    return true;
  if (state.failed === 0) return false;
  return state.function === "none" || state.snapshot.executionMode !== "continue_on_failure";
}
