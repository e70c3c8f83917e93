/** Calls a run's cache functions, while its steps are prepared. */
import { runnerDeath } from "../core/plan.ts";
import type { CacheFunctionTask, TaskResult } from "../core/task.ts";
import { awaitTask, resultOf } from "../places/run-task.ts";
import type { RunParts } from "./run-parts.ts";

/** The cache functions of one run. */
export class CacheFunctionCalls {
  readonly #parts: RunParts;
  readonly #signal: AbortSignal;
  #calls = 0;

  /** @param signal aborted when the run starts no more steps */
  constructor(parts: RunParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /** Calls one to its end. Rejects where the run starts no more steps, or it cannot be called. */
  async call(task: CacheFunctionTask): Promise<TaskResult> {
    const { state, deps, output } = this.#parts;
    const id = `${state.run}#cache-${(this.#calls += 1)}`;
    const signal = this.#signal;
    const cut = new Promise<never>((_, reject) => {
      const stop = (): void => {
        deps.place.stop(id, "force", "the run starts no more steps");
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
    });
    cut.catch(() => undefined);
    const end = await Promise.race([awaitTask(deps.place, { id, task, output }), cut]);
    return resultOf(end, (death) => runnerDeath("the cache function", death));
  }
}
