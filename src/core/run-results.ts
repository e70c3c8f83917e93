/** What a pipeline's ledger says of a run's end, so that nobody has to open the run's own. */
import type { RunState } from "./run-state.ts";

/** Why a run existed, and how its steps ended. */
export interface RunResults {
  readonly trigger: string;
  /** How many steps ended in each status. */
  readonly steps: Readonly<Record<string, number>>;
  /** How many attempts came after a failed one. Undefined: none. */
  readonly retries?: number | undefined;
}

/** The results of a run that has ended. Costs what its steps are many. */
export function runResults(state: RunState): RunResults {
  const steps: Record<string, number> = {};
  let retries = 0;
  for (const { phase, status, attempt } of state.steps.values()) {
    if (phase === "ended") steps[status] = (steps[status] ?? 0) + 1;
    if (attempt > 1) retries += attempt - 1;
  }
  const { kind } = state.trigger;
  return retries === 0 ? { trigger: kind, steps } : { trigger: kind, steps, retries };
}
