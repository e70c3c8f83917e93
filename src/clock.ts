/**
 * The port through which everything above `core/` gets time and chance. Tests give both.
 *
 * Wall time (`now`) jumps when a person or NTP sets the clock; `monotonic` never does. Slots are
 * wall time. Time limits, grace periods and debounces are monotonic.
 */

/** A timer that can be cancelled. */
export interface Timer {
  cancel(): void;
}

/** Time and chance. */
export interface Clock {
  /** Wall time, in milliseconds since 1970. */
  now(): number;
  /** Milliseconds since some fixed moment. Never goes back. */
  monotonic(): number;
  /**
   * Calls `callback` once, after `milliseconds` of monotonic time. Any length works, also more than
   * 24.8 days.
   */
  after(milliseconds: number, callback: () => void): Timer;
  /** A number in [0, 1). */
  random(): number;
}

/**
 * Milliseconds until the next look of those that look every `everyMs`: they look in the same
 * moments, so that a process at rest wakes once for all of them. It is at least half of `everyMs`:
 * a timer may fire a moment early.
 */
export function untilLook(clock: Clock, everyMs: number): number {
  const left = everyMs - (clock.monotonic() % everyMs);
  return left < everyMs / 2 ? left + everyMs : left;
}

/** setTimeout fires at once past 2^31 ms, so a longer wait is made of waits of a day. */
const STRIDE_MS = 86_400_000;

/** The machine's clock. Its timers keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  after(milliseconds, callback) {
    let handle: NodeJS.Timeout;
    const walk = (left: number): void => {
      handle =
        left > STRIDE_MS
          ? setTimeout(() => walk(left - STRIDE_MS), STRIDE_MS)
          : setTimeout(callback, Math.max(0, left));
    };
    walk(milliseconds);
    return { cancel: () => clearTimeout(handle) };
  },
};
