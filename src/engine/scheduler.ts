/**
 * When to look: one heap of due times and one timer. It decides nothing; it says which pipelines
 * have something due, and when the clock jumped.
 *
 * The timer is never longer than {@link LONGEST_WAIT_MS}, so that whatever the wall clock does (a
 * person sets it, NTP steps it, the machine sleeps) is noticed by comparing it with monotonic time
 * well within a minute. It never trusts the timer: libuv may wake a millisecond early, and a slot
 * must never fire before its time, so each wake compares the wall clock with the heap and sleeps
 * again if it must.
 *
 * Rejected: a timer a pipeline (1,000 of them in one second are 7 to 1,000 ms late, by library); a
 * tick every second (idle cost, and late by half a second on average).
 */
import type { Clock, Timer } from "../clock.ts";
import { DueHeap } from "./due-heap.ts";

/** The longest sleep, in milliseconds. */
export const LONGEST_WAIT_MS = 30_000;
/**
 * Wall time that differs from monotonic time by so much since the last wake has been set; what is
 * less is NTP slewing it.
 */
const STEP_MS = 1_000;

/**
 * A jump of the wall clock: where it would have stood, and where it stands. Milliseconds since
 * 1970.
 */
export interface ClockStep {
  readonly from: number;
  readonly to: number;
}

/** Who is told. */
export interface SchedulerHandlers {
  /** These have something due; `now` is the wall time it was compared with. */
  readonly onDue: (keys: readonly string[], now: number) => void;
  /** The wall clock jumped; called before `onDue`. */
  readonly onStep: (step: ClockStep) => void;
  /** Each wake, at least every {@link LONGEST_WAIT_MS}. */
  readonly onWake?: (now: number) => void;
}

/** One heap, one timer: see the head of this file. */
export class Scheduler {
  readonly #clock: Clock;
  readonly #handlers: SchedulerHandlers;
  readonly #heap = new DueHeap();
  #timer: Timer | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #running = false;
  #lastWall = 0;
  #lastMonotonic = 0;

  constructor(clock: Clock, handlers: SchedulerHandlers) {
    this.#clock = clock;
    this.#handlers = handlers;
  }

  /** Begins to wake. */
  start(): void {
    this.#running = true;
    this.#lastWall = this.#clock.now();
    this.#lastMonotonic = this.#clock.monotonic();
    this.#arm();
  }

  /** Wakes no more. */
  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** When a pipeline has something due; undefined: nothing ever. */
  set(key: string, due: number | undefined): void {
    this.#heap.set(key, due);
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
    // Nothing that is set meanwhile needs a timer of its own: the end of this wake sets one.
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
