/**
 * The steps that a user's orchestrator asked orchd to run.
 *
 * Where orchd retries, a step is asked for once. Where the orchestrator retries itself
 * (`handlesStepRetries`), each call of `runStep` after a failure asks for the next attempt. Between
 * two attempts the step is delayed, as between two of orchd's own: it starts again when it is asked
 * for, at once, and its failure stands when nobody can ask any more. How many attempts there may be
 * is the step's own `retry`, also over restarts: the ledger counts them.
 */
import { afterRetries } from "../core/attempt-end.ts";
import { thrownFrom } from "../core/failure.ts";
import { stopModeOf } from "../core/halt.ts";
import type { StepState } from "../core/run-state.ts";
import type { RunParts } from "./run-parts.ts";

/** Keeps what the orchestrator of one run asked for. */
export class AskedSteps {
  readonly steps: Set<string> = new Set();
  /** The attempt that it asked for last, by step. Undefined: orchd retries. */
  readonly again: Map<string, number> | undefined;
  readonly #parts: RunParts;

  /** @param retriesItself a step is asked for again for each attempt */
  constructor(parts: RunParts, retriesItself: boolean) {
    this.#parts = parts;
    this.again = retriesItself ? new Map() : undefined;
  }

  /** A step that has not ended is asked for. */
  add({ spec, phase, attempt }: StepState): void {
    this.steps.add(spec.id);
    if (phase === "delayed") this.again?.set(spec.id, attempt + 1);
  }

  /** A step's failure stands. */
  giveUp(step: string): void {
    this.#parts.emit(afterRetries(this.#parts.state, step));
  }

  /** Nobody asks for the attempts that could follow. */
  noMore(): void {
    const { state } = this.#parts;
    if (this.again === undefined || stopModeOf(state) !== undefined) return;
    for (const id of Array.from(state.delayed)) {
      const step = state.steps.get(id)!;
      if (!step.rerun && this.again.get(id) !== step.attempt + 1) this.giveUp(id);
    }
  }

  /** Why a step that its orchestrator retries gets no further attempt; undefined if it may. */
  spent({ spec, phase, status, attempt, error, because }: StepState): Error | undefined {
    if (this.again === undefined || phase !== "ended" || status !== "failed") return undefined;
    const most = spec.retry.maxRetries + 1;
    const made = `${attempt} of ${most} attempts ${attempt === 1 ? "was" : "were"} made`;
    const why = attempt >= most || because === undefined ? made : `${made}, and ${because}`;
    return Object.assign(
      new Error(
        `step "${spec.id}" is not run again: ${why}; it failed: ` +
          (error?.message ?? "no reason given"),
        error === undefined ? undefined : { cause: thrownFrom(error) },
      ),
      { name: "StepFailed" },
    );
  }
}
