/** Why a run starts nothing new, and what its running steps are told then. */
import { failureText } from "./failure.ts";
import type { RunState } from "./run-state.ts";

/**
 * Why nothing new may start: a stop, a time limit, a failed init hook, or a failure under a mode
 * that ends the run.
 */
export interface Halt {
  readonly because: string;
  /** What running steps are told. Undefined: they may finish. */
  readonly stop?: "graceful" | "force";
}

/** How what runs of a run is told to end; undefined while it may go on. */
export function stopModeOf(state: RunState): "graceful" | "force" | undefined {
  return haltReason(state)?.stop;
}

/** Whether nothing new may start in a run any more. */
export function isHalted(state: RunState): boolean {
  return haltReason(state) !== undefined;
}

/** Why nothing new may start in a run; undefined while something may. */
export function haltReason(state: RunState): Halt | undefined {
  if (state.stop !== undefined)
    return { because: "the run was asked to stop", stop: state.stop.mode };
  if (state.timedOut !== undefined) return { because: state.timedOut, stop: "force" };
  if (state.submissionError !== undefined)
    return {
      because: `the orchestrator did not take the run: ${failureText(state.submissionError)}`,
    };
  if (state.init === "failed") {
    const reason = state.initError === undefined ? "no reason given" : failureText(state.initError);
    return { because: `the init hook failed: ${reason}` };
  }
  if (state.functionError !== undefined)
    return { because: `the pipeline's function failed: ${failureText(state.functionError)}` };
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
