/**
 * Who waits for a step's end: a dynamic pipeline's function for the value, an orchestrator's
 * `runStep` for the success. They hear of it when its line is durable. Outputs that are in files
 * are not loaded here: whoever needs the values does that.
 */
import { thrownFrom } from "../core/failure.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";

interface Waiter {
  readonly resolve: (outputs: { readonly [name: string]: Json }) => void;
  readonly reject: (error: Error) => void;
}

/** Keeps those who wait for the steps of one run. */
export class StepWaiters {
  readonly #state: RunState;
  readonly #perAttempt: boolean;
  readonly #waiting = new Map<string, Waiter[]>();

  /**
   * @param perAttempt an orchestrator hears how an attempt failed, also where another may follow. A
   *   dynamic pipeline's function does not: orchd retries its steps
   */
  constructor(state: RunState, perAttempt: boolean) {
    this.#state = state;
    this.#perAttempt = perAttempt && state.snapshot.dynamic === undefined;
  }

  /**
   * Tells those who wait for a step what was just decided of it; call it when that is durable.
   * Undefined if there is nobody, or nothing to tell.
   */
  tellLater(step: string): (() => void) | undefined {
    const waiters = this.#waiting.size === 0 ? undefined : this.#waiting.get(step);
    if (waiters === undefined) return undefined;
    const state = this.#state.steps.get(step);
    if (state?.phase === "ended") return () => this.settle(step);
    const error = state?.attempts.at(-1)?.error;
    if (!this.#perAttempt || state?.phase !== "delayed" || error === undefined) return undefined;
    // Who asks from now on waits for the next attempt.
    this.#waiting.delete(step);
    return () => {
      for (const { reject } of waiters) reject(thrownFrom(error));
    };
  }

  /**
   * A step's outputs, as its ledger has them, when it has ended well. Rejects with the step's own
   * error, or with why it did not run.
   */
  outputsOf(step: string): Promise<{ readonly [name: string]: Json }> {
    return new Promise((resolve, reject) => {
      const list = this.#waiting.get(step);
      if (list === undefined) this.#waiting.set(step, [{ resolve, reject }]);
      else list.push({ resolve, reject });
    });
  }

  /** Tells those who wait for a step, if it has ended. */
  settle(step: string): void {
    const state = this.#state.steps.get(step);
    const waiters = this.#waiting.get(step);
    if (state?.phase !== "ended" || waiters === undefined) return;
    this.#waiting.delete(step);
    for (const { resolve, reject } of waiters) this.#answer(state, resolve, reject);
  }

  #answer(step: StepState, resolve: Waiter["resolve"], reject: Waiter["reject"]): void {
    if (step.outputs !== undefined && (step.status === "completed" || step.status === "cached"))
      resolve(step.outputs);
    else if (step.status === "failed" && step.error !== undefined) reject(thrownFrom(step.error));
    else
      reject(
        Object.assign(
          new Error(
            `step "${step.spec.id}" was ${step.status}: ${step.because ?? "no reason given"}`,
          ),
          {
            name: step.status === "stopped" ? "StepStopped" : "StepSkipped",
          },
        ),
      );
  }
}
