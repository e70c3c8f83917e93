/**
 * The statuses of a run or a step: ZenML's `ExecutionStatus`, and `skipped`, which ZenML does not
 * record.
 */
export const STATUSES = [
  "initializing",
  "running",
  "completed",
  "failed",
  "cached",
  "retrying",
  "retried",
  "stopping",
  "stopped",
  "skipped",
] as const;

/** One of {@link STATUSES}. */
export type Status = (typeof STATUSES)[number];

/** The statuses by name, for programs: ZenML's `ExecutionStatus`, and `skipped`. */
export const ExecutionStatus = {
  initializing: "initializing",
  running: "running",
  completed: "completed",
  failed: "failed",
  cached: "cached",
  retrying: "retrying",
  retried: "retried",
  stopping: "stopping",
  stopped: "stopped",
  skipped: "skipped",
} as const satisfies { readonly [S in Status]: S };

/** One of {@link STATUSES}. */
export type ExecutionStatus = Status;

/** The statuses in which a run can end. They never change again. */
export const FINAL_RUN_STATUSES = ["completed", "failed", "cached", "stopped"] as const;

/** A status that a run can end in. */
export type FinalRunStatus = (typeof FINAL_RUN_STATUSES)[number];

/** Whether a run with this status has ended. */
export function isFinal(status: Status): status is FinalRunStatus {
  return (FINAL_RUN_STATUSES as readonly string[]).includes(status);
}

/** What happens to the rest of a run when one of its steps fails (ZenML's `ExecutionMode`). */
export const EXECUTION_MODES = ["continue_on_failure", "stop_on_failure", "fail_fast"] as const;

/** The execution modes by name, for programs: ZenML's `ExecutionMode`. */
export const ExecutionMode = {
  continueOnFailure: "continue_on_failure",
  stopOnFailure: "stop_on_failure",
  failFast: "fail_fast",
} as const;

/** One of {@link EXECUTION_MODES}. */
export type ExecutionMode = (typeof EXECUTION_MODES)[number];
