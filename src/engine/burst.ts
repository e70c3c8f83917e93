/**
 * Runs that are made because many pipelines were due in the same moment. Their headers come first:
 * what follows a header (its slot's line, its first steps) would take the disk and the processors
 * from headers that are still to come, and a slot is safe once its header is. So in a burst that
 * follows only when the last header is durable; a run that is made alone goes on at once.
 */
const SMALL = 16;

/** See the head of this file. All join before the first of them leaves. */
export class Burst {
  #size = 0;
  #open = 0;
  #settle!: () => void;
  readonly #settled: Promise<void>;

  constructor() {
    this.#settled = new Promise((resolve) => (this.#settle = resolve));
  }

  /** A run is about to be made. */
  join(): void {
    this.#size += 1;
    this.#open += 1;
  }

  /** A run's header is durable, or came to nothing. */
  leave(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#settle();
  }

  /** Resolves when what follows a header may be done; undefined: at once. */
  get over(): Promise<void> | undefined {
    return this.#size <= SMALL || this.#open === 0 ? undefined : this.#settled;
  }
}
