/**
 * A clock that moves only when a test says so. Timers fire in the order of their due times, and of
 * equal ones in the order in which they were set. Between two timers promises and finished I/O get
 * their turn. Wall time can be stepped. That does not touch the timers, which follow monotonic time
 * as real timers do.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../../src/clock.ts";

interface Pending {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/** How long {@link VirtualClock.until} waits at least for real I/O, in real milliseconds. */
const PATIENCE_MS = 10_000;

/** Options of `VirtualClock`. */
export interface VirtualClockOptions {
  /**
   * Wall time at the beginning: milliseconds since 1970, or any text `Date.parse` reads. Default:
   * 2026-11-23T02:00:00Z.
   */
  readonly start?: number | string;
  /** What `random()` begins with; equal seeds give equal numbers. */
  readonly seed?: number;
  /** Turns of the event loop that `settle` waits; more where the code under test writes files. */
  readonly turns?: number;
}

export class VirtualClock implements Clock {
  #offset: number;
  #monotonic = 0;
  #order = 0;
  #seed: number;
  readonly #turns: number;
  readonly #pending = new Set<Pending>();

  constructor(options: VirtualClockOptions = {}) {
    const { start = "2026-11-23T02:00:00Z", seed = 1, turns = 10 } = options;
    this.#offset = typeof start === "number" ? start : Date.parse(start);
    this.#seed = seed;
    this.#turns = turns;
  }

  now(): number {
    return this.#offset + this.#monotonic;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(milliseconds: number, callback: () => void): Timer {
    const pending: Pending = {
      due: this.#monotonic + Math.max(0, milliseconds),
      order: this.#order++,
      callback,
    };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Mulberry32: small, and the same on every machine. */
  random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** How many timers wait. More than a test expects at its end are a leak. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Monotonic milliseconds until the next timer, or undefined. */
  get untilNext(): number | undefined {
    const next = this.#next();
    return next && next.due - this.#monotonic;
  }

  /**
   * Moves time on by `milliseconds`, and fires the timers that come due on the way. It settles
   * before, between and after them.
   */
  async advance(milliseconds: number): Promise<void> {
    const target = this.#monotonic + milliseconds;
    await this.settle();
    for (let next = this.#next(); next && next.due <= target; next = this.#next()) {
      this.#pending.delete(next);
      this.#monotonic = Math.max(this.#monotonic, next.due);
      next.callback();
      await this.settle();
    }
    this.#monotonic = target;
    await this.settle();
  }

  /** Moves on to wall time `to` (milliseconds or text), as `advance` does. */
  async advanceTo(to: number | string): Promise<void> {
    const target = typeof to === "number" ? to : Date.parse(to);
    if (target < this.now())
      throw new RangeError(
        `The virtual clock is past ${new Date(target).toISOString()} already; step() jumps back.`,
      );
    await this.advance(target - this.now());
  }

  /**
   * Moves on, timer by timer, until `done()` holds. Where no timer waits, real I/O gets another
   * turn.
   *
   * @throws Error after `limitMilliseconds` of virtual time, or after `limitTurns` turns of the
   *   event loop without a due timer that took {@link PATIENCE_MS} of real time: beside other work
   *   one sync of a disk can outlast any number of turns
   */
  async until(
    done: () => boolean,
    { limitMilliseconds = 86_400_000, limitTurns = 20_000 } = {},
  ): Promise<void> {
    const last = this.#monotonic + limitMilliseconds;
    let idle = 0;
    let idleSince = performance.now();
    await this.settle();
    while (!done()) {
      const next = this.#next();
      if (next && next.due <= last) {
        idle = 0;
        await this.advance(next.due - this.#monotonic);
        idleSince = performance.now();
      } else if (next || (idle >= limitTurns && performance.now() - idleSince > PATIENCE_MS)) {
        const limit = next ? `${limitMilliseconds} ms of virtual time` : `${limitTurns} idle turns`;
        throw new Error(`Not reached within ${limit}: ${String(done)}`);
      } else {
        idle += 1;
        await nextTurn();
      }
    }
  }

  /**
   * Steps wall time by `milliseconds` (negative: back), as a person, NTP or a resume from suspend
   * does. The timers are not touched.
   */
  step(milliseconds: number): void {
    this.#offset += milliseconds;
  }

  /** Gives promises and finished I/O their turn. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.#turns; turn += 1) await nextTurn();
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const pending of this.#pending) {
      if (
        !first ||
        pending.due < first.due ||
        (pending.due === first.due && pending.order < first.order)
      )
        first = pending;
    }
    return first;
  }
}
