import type { RunState } from "../core/run-state.ts";
import type { RunInfo } from "../core/task.ts";

/** What a run tells the code that works for it. */
export function runInfoOf({ run, pipeline, trigger }: RunState, attempt: number): RunInfo {
  const { scheduledFor } = trigger;
  return scheduledFor === undefined
    ? { id: run, pipeline, attempt }
    : { id: run, pipeline, attempt, scheduledFor };
}
