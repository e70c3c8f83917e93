/**
 * Ends a runner that hears nothing from the process that started it. A process that dies closes its
 * channel, and the runner ends at once. One that is frozen closes nothing.
 */

/** Looks often enough that the lease is over by a quarter at most. */
const LOOKS = 4;

/** Counts the silence of the process that started this one. */
export class ForkLease {
  #heardAt = performance.now();
  readonly #timer: NodeJS.Timeout;

  /**
   * @param leaseMs the longest silence, in milliseconds
   * @param over called once
   */
  constructor(leaseMs: number, over: () => void) {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#heardAt < leaseMs) return;
      clearInterval(this.#timer);
      over();
    }, leaseMs / LOOKS);
  }

  /** A message came. */
  heard(): void {
    this.#heardAt = performance.now();
  }
}
