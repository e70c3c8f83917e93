/**
 * The steps of one run on other machines, while one daemon ends and the next one begins.
 *
 * - A daemon that ends tells them to end, and waits until the machine says that they have: until
 *   then they may run, and a successor must not. If that takes too long, the ledger has them as
 *   running, and the next daemon asks for them.
 * - The next daemon asks each machine for them. It does not wait: a machine that does not answer
 *   answers once its lease is over, and until then they count as running. So a stop is told again
 *   when the machine has answered.
 */
import type { StepState } from "../core/run-state.ts";
import type { RunParts } from "./run-parts.ts";

/**
 * How long after the grace period a step on another machine may take to say that it has ended,
 * while the daemon ends, in milliseconds.
 */
const END_MS = 1_000;

/** Looks after the steps of one run that are on other machines. */
export class FarSteps {
  readonly #parts: RunParts;
  /** The steps of an earlier daemon that their machines are asked for. */
  readonly #asked = new Set<string>();
  /** The steps whose end is no longer waited for: the daemon ends. */
  readonly #left = new Set<string>();

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Whether a step's machine has not said yet whether it still runs. */
  isAsked(id: string): boolean {
    return this.#asked.has(id);
  }

  /** Whether nobody waits for a step's end while the daemon ends: the next one asks for it. */
  isLeft(id: string): boolean {
    return this.#asked.has(id) || this.#left.has(id);
  }

  /**
   * Asks for the steps that an earlier daemon started.
   *
   * @param ask which of these still run. It never rejects
   * @param answered hears in a turn of the run whether a step does
   */
  ask(
    ask: (steps: readonly (readonly [id: string, token: number])[]) => Promise<ReadonlySet<string>>,
    answered: (id: string, token: number, lives: boolean) => void,
  ): void {
    const { state, arrive } = this.#parts;
    // One that is silent holds up the answers of its own steps alone.
    const byPlace = new Map<string | undefined, (readonly [id: string, token: number])[]>();
    for (const id of state.running) {
      const step = state.steps.get(id)!;
      if (!isFar(step)) continue;
      this.#asked.add(id);
      const place = step.attempts.at(-1)?.placed?.place;
      const steps = byPlace.get(place);
      if (steps === undefined) byPlace.set(place, [[id, step.token]]);
      else steps.push([id, step.token]);
    }
    for (const steps of byPlace.values())
      void ask(steps).then((living) =>
        arrive(() => {
          for (const [id, token] of steps) {
            this.#asked.delete(id);
            answered(id, token, living.has(id));
          }
        }),
      );
  }

  /** The daemon ends, and these steps were told to end: their ends are waited for, for a while. */
  abandon(ids: readonly string[]): void {
    if (ids.length === 0) return;
    const { state, deps, arrive } = this.#parts;
    deps.clock.after(state.snapshot.gracePeriodMs + END_MS, () =>
      arrive(() => ids.forEach((id) => this.#left.add(id))),
    );
  }
}

/** Whether a step runs on another machine. */
export function isFar({ spec, elsewhere }: StepState): boolean {
  return spec.on !== undefined && elsewhere !== true;
}
