/**
 * The times of one run: when it must be planned again, what is left of its limit, how long it took
 * and how long it was worked on.
 *
 * Two times are told of a run that ended. Its duration is the difference of two lines' times, that
 * of `run.started` and that of its end. So everybody who reads ledgers finds the same one, and a
 * daemon that was down or a clock that was set is in it. How long it was worked on is measured by
 * the monotonic clock, and what compares runs goes by that (ADR 0022).
 *
 * A limit is measured in the time that daemons worked on the run (docs/semantics.md 15). The clock
 * is the monotonic one, and time without a daemon does not count.
 */
import type { Timer } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { RunParts } from "./run-parts.ts";

/** Two clocks that part by this much during a run: one of them was set. In milliseconds. */
const CLOCK_STEP_MS = 1_000;

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

  /**
   * How long the run took until a moment, for the line of its end. `workedMs` is left out where it
   * says no more than the duration: no earlier daemon worked on the run, and no clock was set.
   */
  ends(at: string): { readonly durationMs: number; readonly workedMs?: number } {
    const { startedAt, recoveries } = this.#parts.state;
    if (startedAt === undefined) return { durationMs: 0 };
    const durationMs = Math.max(0, Date.parse(at) - Date.parse(startedAt));
    const workedMs = Math.round(this.workedMs);
    const isSame = recoveries === 0 && Math.abs(durationMs - workedMs) < CLOCK_STEP_MS;
    return isSame ? { durationMs } : { durationMs, workedMs };
  }

  /**
   * For the line that a daemon took the run over: until when the one before it worked on the run.
   *
   * @param seen when it was last seen; ISO 8601
   */
  before(seen: string | undefined): { readonly workedUntil?: string } {
    const { state, journal } = this.#parts;
    const isNews =
      state.startedAt !== undefined &&
      seen !== undefined &&
      seen > state.lastAt &&
      seen <= journal.at;
    return isNews ? { workedUntil: seen } : {};
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
