/**
 * The times of one run that is driven: when it has to be planned again, what its limit leaves it,
 * how long it has worked.
 *
 * A limit is measured in the time that daemons worked on the run (docs/semantics.md 15): the clock
 * is the monotonic one, and what passed while no daemon was up does not count.
 */
import type { Timer } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { RunParts } from "./run-parts.ts";

/** See the head of this file. */
export class RunTimes {
  readonly #parts: RunParts;
  /** Since when this daemon works on it, in monotonic milliseconds. */
  #since: number | undefined;
  #wake: { readonly at: number; readonly timer: Timer } | undefined;
  #limit: Timer | undefined;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** How long it has been worked on, in milliseconds, by this daemon and those before it. */
  get workedMs(): number {
    const { state, deps } = this.#parts;
    if (state.startedAt === undefined) return 0;
    return state.workedMs + (this.#since === undefined ? 0 : deps.clock.monotonic() - this.#since);
  }

  /** Work on it begins, or goes on; its limit counts from now. */
  begin(): void {
    const { state, deps, arrive, emit } = this.#parts;
    this.#since = deps.clock.monotonic();
    const { timeoutMs } = state.snapshot;
    if (timeoutMs === undefined || state.timedOut !== undefined) return;
    this.#limit = deps.clock.after(Math.max(0, timeoutMs - state.workedMs), () =>
      arrive(() => {
        if (state.finished === undefined)
          emit({
            type: "run.timed_out",
            because: `the run took longer than its limit of ${formatDuration(timeoutMs)}`,
          });
      }),
    );
  }

  /** Has it planned again at a time, in milliseconds since 1970. */
  wakeAt(at: number): void {
    if (this.#wake !== undefined && this.#wake.at <= at) return;
    this.#wake?.timer.cancel();
    const { deps, arrive } = this.#parts;
    const timer = deps.clock.after(Math.max(0, at - deps.clock.now()), () => {
      this.#wake = undefined;
      arrive(() => undefined);
    });
    this.#wake = { at, timer };
  }

  /** The run is let go of. */
  end(): void {
    this.#wake?.timer.cancel();
    this.#limit?.cancel();
  }
}
