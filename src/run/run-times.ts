/**
 * The times of one run: when it must be planned again, what is left of its limit, and how long it
 * was worked on.
 *
 * A limit is measured in the time that daemons worked on the run (docs/semantics.md 15). The clock
 * is the monotonic one, and time without a daemon does not count.
 */
import type { Timer } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { RunParts } from "./run-parts.ts";

/** Keeps the times of one run. */
export class RunTimes {
  readonly #parts: RunParts;
  /** When this daemon began to work on the run, in monotonic milliseconds. */
  #since: number | undefined;
  #wake: { readonly at: number; readonly timer: Timer } | undefined;
  #limit: Timer | undefined;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** How long this daemon and earlier ones have worked on the run, in milliseconds. */
  get workedMs(): number {
    const { state, deps } = this.#parts;
    if (state.startedAt === undefined) return 0;
    return state.workedMs + (this.#since === undefined ? 0 : deps.clock.monotonic() - this.#since);
  }

  /** Work on the run begins, or goes on. Its limit counts from now. */
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

  /** Plans the run again at a time, in milliseconds since 1970. */
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

  /** The run is no longer driven. */
  end(): void {
    this.#wake?.timer.cancel();
    this.#limit?.cancel();
  }
}
