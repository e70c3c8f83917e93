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
 * Where many keys may be due at once, it wakes shortly before as well, and says so: what is made
 * ready then is in nobody's way. It does not where many were due a moment ago.
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

/** How long before many keys are due that is said, in milliseconds. */
export const EVE_MS = 300;
/** So many keys are many. */
const MANY = 64;
/** If many were due this short a time ago, nothing is said, in milliseconds. */
const WARM_MS = 5_000;

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
  /** These keys, which are many, are due soon. Called once for a due time, if at all. */
  readonly onEve?: (keys: readonly string[], due: number) => void;
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
  /** The due time whose eve is over. */
  #eveOf: number | undefined;
  /** When many were due last, in monotonic time. */
  #manyAt = Number.NEGATIVE_INFINITY;

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
    if (!this.#running || due === undefined || due - EVE_MS >= this.#wakeAt) return;
    if (this.#wakeFor(due, this.#clock.now()) < this.#wakeAt) this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const now = this.#clock.now();
    const at = this.#wakeFor(this.#heap.first() ?? Number.POSITIVE_INFINITY, now);
    const wait = Math.min(LONGEST_WAIT_MS, Math.max(0, Math.ceil(at - now)));
    this.#wakeAt = now + wait;
    this.#timer = this.#clock.after(wait, () => this.#wake());
  }

  /** When to wake for keys that are due then: that may be their eve. */
  #wakeFor(due: number, now: number): number {
    return this.#mayHaveEve(due) && due - EVE_MS > now ? due - EVE_MS : due;
  }

  #mayHaveEve(first: number): boolean {
    return (
      this.#handlers.onEve !== undefined &&
      this.#heap.size >= MANY &&
      this.#eveOf !== first &&
      this.#clock.monotonic() + (first - this.#clock.now()) - this.#manyAt >= WARM_MS
    );
  }

  /** Says that many are due soon, where they are. */
  #tellEve(now: number): void {
    const first = this.#heap.first();
    if (first === undefined || first - EVE_MS > now || !this.#mayHaveEve(first)) return;
    this.#eveOf = first;
    const { keys } = this.#heap.over(first);
    if (keys.length >= MANY) this.#handlers.onEve!(keys, first);
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
      if (due.length >= MANY) this.#manyAt = monotonic;
      if (due.length > 0) this.#handlers.onDue(due, now);
      else this.#tellEve(now);
    } finally {
      if (this.#running) this.#arm();
    }
  }
}
