import type { Clock } from "../clock.ts";
import { giveWorkSign, removeWorkSign, SIGN_MS } from "../ledger/work-sign.ts";
import type { Log } from "../log.ts";

/** How many requests a sign names at most. */
const MOST_NAMED = 1_000;

/** Tells those who wait for an answer that the daemon is at work, where that takes long. */
export class WorkTeller {
  readonly #orchdDir: string;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Since when there has been work without a break; undefined: there is none. */
  #since: number | undefined;
  #next = 0;

  constructor(orchdDir: string, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#orchdDir = orchdDir;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Gives the sign if there has been work for a while, every {@link SIGN_MS} at most.
   *
   * @param known how many requests wait or are under way
   * @param underWay the ids of those that are under way
   */
  tell(known: number, underWay: () => readonly string[]): void {
    if (known === 0) return this.end();
    const now = this.#clock.monotonic();
    this.#since ??= now;
    if (now - this.#since < SIGN_MS || now < this.#next) return;
    this.#next = now + SIGN_MS;
    const ids = underWay();
    const sign = { waiting: known - ids.length, underWay: ids.slice(0, MOST_NAMED) };
    try {
      giveWorkSign(this.#orchdDir, this.#clock.now(), sign);
    } catch (error) {
      this.#log.warn({ err: error }, "the sign of work on requests cannot be written");
    }
  }

  /** There is no work any more. */
  end(): void {
    if (this.#since === undefined) return;
    this.#since = undefined;
    try {
      removeWorkSign(this.#orchdDir);
    } catch {
      // It is not fresh for long.
    }
  }
}
