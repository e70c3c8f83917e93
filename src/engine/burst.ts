/**
 * Runs that are made together because many pipelines were due at the same moment.
 *
 * No ledger is made before all of them are decided: making one takes longer than a decision, and
 * the last decision would be late by all of them.
 *
 * A slot is safe once its run's header is durable. The slot's line and the run's first steps would
 * take disk and processors from headers that are still to come. So in a burst they wait until the
 * last header is durable. A run that is made alone goes on at once.
 */

/** This many runs together, or fewer, are no burst: none of them waits. */
const SMALL = 16;

/** One burst. It is not over before all its runs have joined. */
export class Burst {
  #size = 0;
  /** Runs whose headers are not durable, and one for those that may still join. */
  #open = 1;
  #settle!: () => void;
  readonly #settled: Promise<void>;
  #decide!: () => void;
  /** Resolves when all that was due is decided: from then on ledgers are made. */
  readonly decided: Promise<void>;

  constructor() {
    this.#settled = new Promise((resolve) => (this.#settle = resolve));
    this.decided = new Promise((resolve) => (this.#decide = resolve));
  }

  /** A run is about to be made. */
  join(): void {
    this.#size += 1;
    this.#open += 1;
  }

  /** All that was due is decided: no further run joins. */
  allJoined(): void {
    this.#decide();
    this.leave();
  }

  /** A run's header is durable, or could not be written. */
  leave(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#settle();
  }

  /** Resolves when a run of the burst may go on after its header. Undefined: it may at once. */
  get over(): Promise<void> | undefined {
    return this.#size <= SMALL || this.#open === 0 ? undefined : this.#settled;
  }
}
