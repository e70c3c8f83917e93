/**
 * The port through which everything above `core/` gets time and chance, so that tests can give
 * both.
 *
 * Wall time (`now`) jumps when a person or NTP sets it; `monotonic` never does. Slots are wall
 * time; time limits, grace periods and debounces are monotonic.
 */

/** A timer that can be called off. */
export interface Timer {
  cancel(): void;
}

/** Time and chance. */
export interface Clock {
  /** Wall time, in milliseconds since 1970. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. */
  monotonic(): number;
  /**
   * Calls `callback` once, `milliseconds` of monotonic time from now (any length; longer than 24.8
   * days is safe).
   */
  after(milliseconds: number, callback: () => void): Timer;
  /** A number in [0, 1). */
  random(): number;
}

/** setTimeout fires at once past 2^31 ms, so longer waits are walked in strides of a day. */
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
