/** The attempts of a run's steps, by its lines. */
import type { RunLine } from "../core/event.ts";
import type { StepAttempt } from "./run-page.ts";

type Attempt = { -readonly [K in keyof StepAttempt]: StepAttempt[K] };

/** Lines folded into the attempts of each step. */
export class StepTimelines {
  readonly #steps = new Map<string, Attempt[]>();

  /** Takes the next line of the ledger. */
  take(line: RunLine): void {
    switch (line.type) {
      case "step.started":
        this.#of(line.step).push({
          attempt: line.attempt,
          startedAt: line.at,
          endedAt: null,
          status: "running",
          because: line.because,
          endedBecause: null,
        });
        break;
      case "step.placed": {
        const attempt = this.#of(line.step).at(-1);
        if (attempt?.endedAt === null)
          attempt.placed = { place: line.place, host: line.host, ref: line.ref };
        break;
      }
      case "step.completed":
        this.#end(line, "completed", null);
        break;
      case "step.failed":
        this.#end(line, line.retryAt === undefined ? "failed" : "retried", line.error.message);
        break;
      case "step.interrupted":
        this.#end(line, "interrupted", line.because);
        break;
      case "step.stopped":
        this.#end(line, "stopped", line.because);
        break;
      default:
    }
  }

  /** A step's attempts, in order. */
  of(step: string): readonly StepAttempt[] {
    return this.#steps.get(step) ?? [];
  }

  #of(step: string): Attempt[] {
    let attempts = this.#steps.get(step);
    if (attempts === undefined) this.#steps.set(step, (attempts = []));
    return attempts;
  }

  #end(
    { step, at }: { readonly step: string; readonly at: string },
    status: string,
    because: string | null,
  ): void {
    const attempt = this.#of(step).at(-1);
    // A failure may come where no attempt is: the orchestrator asked for none.
    if (attempt === undefined || attempt.endedAt !== null) return;
    attempt.endedAt = at;
    attempt.status = status;
    attempt.endedBecause = because;
  }
}
