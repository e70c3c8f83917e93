/**
 * Says when pipelines are due, with one heap of due times and one timer, and when the clock jumped.
 * It decides nothing.
 *
 * The timer is never longer than {@link LONGEST_WAIT_MS}. So a jump of the wall clock (a person
 * sets it, NTP steps it, the machine sleeps) shows well within a minute, when the wall clock is
 * compared with monotonic time. The timer is not trusted: libuv may wake a millisecond early, and a
 * slot must never fire before its time. So each wake compares the wall clock with the heap, and
 * sleeps again where nothing is due.
 *
 * Rejected: a timer for each pipeline (1,000 of them in one second are 7 to 1,000 ms late,
 * depending on the library); a tick every second (it costs while idle, and is half a second late on
 * average).
 */
import type { Clock, Timer } from "../clock.ts";
import { TimedKeys } from "../core/timed-keys.ts";

/** The longest sleep, in milliseconds. */
export const LONGEST_WAIT_MS = 30_000;
/**
 * The wall clock was set if it moved this much more or less than monotonic time since the last
 * wake, in milliseconds. NTP slews it by less.
 */
const STEP_MS = 1_000;

/**
 * A jump of the wall clock, in milliseconds since 1970: the time that it would show without the
 * jump, and the time that it shows.
 */
export interface ClockStep {
  readonly from: number;
  readonly to: number;
}

/** Who is told. */
export interface SchedulerHandlers {
  /** These keys are due. `now` is the wall time that was compared. */
  readonly onDue: (keys: readonly string[], now: number) => void;
  /** The wall clock jumped; called before `onDue`. */
  readonly onStep: (step: ClockStep) => void;
  /** Called at each wake, at least every {@link LONGEST_WAIT_MS}. */
  readonly onWake?: (now: number) => void;
}

/** The scheduler of one engine. */
export class Scheduler {
  readonly #clock: Clock;
  readonly #handlers: SchedulerHandlers;
  readonly #heap = new TimedKeys();
  #timer: Timer | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #running = false;
  #lastWall = 0;
  #lastMonotonic = 0;

  constructor(clock: Clock, handlers: SchedulerHandlers) {
    this.#clock = clock;
    this.#handlers = handlers;
  }

  /** Starts the timer. */
  start(): void {
    this.#running = true;
    this.#lastWall = this.#clock.now();
    this.#lastMonotonic = this.#clock.monotonic();
    this.#arm();
  }

  /** Stops the timer. */
  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Sets when a pipeline is due next; undefined: never. */
  set(key: string, due: number | undefined): void {
    if (due === undefined) this.#heap.delete(key);
    else this.#heap.set(key, due);
    if (this.#running && due !== undefined && due < this.#wakeAt) this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const now = this.#clock.now();
    const wait = Math.min(
      LONGEST_WAIT_MS,
      Math.max(0, Math.ceil((this.#heap.first() ?? Number.POSITIVE_INFINITY) - now)),
    );
    this.#wakeAt = now + wait;
    this.#timer = this.#clock.after(wait, () => this.#wake());
  }

  #wake(): void {
    if (!this.#running) return;
    // A due time that is set meanwhile needs no timer: the end of this wake sets one.
    this.#wakeAt = Number.NEGATIVE_INFINITY;
    const now = this.#clock.now();
    const monotonic = this.#clock.monotonic();
    const expected = this.#lastWall + (monotonic - this.#lastMonotonic);
    this.#lastWall = now;
    this.#lastMonotonic = monotonic;
    try {
      if (Math.abs(now - expected) >= STEP_MS)
        this.#handlers.onStep({ from: Math.round(expected), to: now });
      this.#handlers.onWake?.(now);
      const due = this.#heap.take(now);
      if (due.length > 0) this.#handlers.onDue(due, now);
    } finally {
      if (this.#running) this.#arm();
    }
  }
}
