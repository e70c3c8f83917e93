/** How long pieces of code took lately, and so whether they are brief. */

/** The longest time that a brief piece takes, in milliseconds. */
const BRIEF_MS = 0.5;
/** How many times longer than before a piece counts, at most. */
const AT_MOST_TIMES = 10;
/** The most pieces of code whose pace is remembered. */
const MOST_PACES = 1_000;

/** The paces of pieces of code, by a name of the caller's. */
export class Paces {
  readonly #paces = new Map<string, number>();

  /** Whether pieces of this code are brief. False before the first has ended. */
  isBrief(code: string): boolean {
    return (this.#paces.get(code) ?? BRIEF_MS + 1) <= BRIEF_MS;
  }

  /** A piece has ended. @param durationMs how long it took */
  ended(code: string, durationMs: number): void {
    const before = this.#paces.get(code);
    // On a busy machine a brief piece takes long now and then. Two in a row count in full.
    this.set(
      code,
      before === undefined
        ? durationMs
        : before * 0.8 + Math.min(durationMs, before * AT_MOST_TIMES) * 0.2,
    );
  }

  /** Pieces of this code take as long as this. */
  set(code: string, durationMs: number): void {
    this.#paces.set(code, durationMs);
    if (this.#paces.size > MOST_PACES) this.#paces.delete(this.#paces.keys().next().value!);
  }
}
