/**
 * How long a worker may go on: the daemon's answers to its beats extend it.
 *
 * It counts from when the beat that was answered was sent, not from the answer: the daemon's
 * patience counts from when it heard the beat. An answer that lay in a buffer while the worker was
 * frozen so extends nothing.
 *
 * Two clocks count, and the later one holds: the monotonic one of Node stands still while the
 * machine sleeps.
 */
import type { Clock } from "../clock.ts";

/** A moment, by both clocks, in milliseconds. */
export interface Moment {
  readonly monotonic: number;
  readonly sinceBoot: number;
}

/** A worker's lease. */
export class Lease {
  readonly #clock: Clock;
  readonly #sinceBoot: () => number;
  readonly #length: number;
  #from: Moment | undefined;

  /**
   * @param length in milliseconds
   * @param sinceBoot milliseconds since the machine's start, with those in which it slept
   */
  constructor(clock: Clock, length: number, sinceBoot: () => number) {
    this.#clock = clock;
    this.#length = length;
    this.#sinceBoot = sinceBoot;
  }

  now(): Moment {
    return { monotonic: this.#clock.monotonic(), sinceBoot: this.#sinceBoot() };
  }

  /** A beat that was sent then was answered. */
  extend(sent: Moment): void {
    if (this.#from === undefined || sent.monotonic > this.#from.monotonic) this.#from = sent;
  }

  get holds(): boolean {
    return this.left > 0;
  }

  /** How long it lasts yet, in milliseconds. */
  get left(): number {
    if (this.#from === undefined) return 0;
    const now = this.now();
    const gone = Math.max(
      now.monotonic - this.#from.monotonic,
      now.sinceBoot - this.#from.sinceBoot,
    );
    return Math.max(0, this.#length - gone);
  }
}
