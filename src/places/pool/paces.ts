/** How long pieces of code took lately, and so whether they are brief. */

/** The longest time that a brief piece takes, in milliseconds. */
const BRIEF_MS = 0.5;
/** How many times longer than before a piece counts, at most. */
const AT_MOST_TIMES = 10;
/** The most files whose pace is remembered. */
const MOST_FILES = 1_000;

/**
 * The paces of pieces of code: by a file, and where the caller knows it by a function in the file.
 * It is asked for each step, so it makes no text.
 */
export class Paces {
  readonly #files = new Map<string, Map<string, number>>();

  /** Whether pieces of this code are brief. False before the first has ended. */
  isBrief(file: string, part = ""): boolean {
    return (this.#files.get(file)?.get(part) ?? BRIEF_MS + 1) <= BRIEF_MS;
  }

  /** A piece has ended. @param durationMs how long it took */
  ended(file: string, durationMs: number, part = ""): void {
    const before = this.#files.get(file)?.get(part);
    // On a busy machine a brief piece takes long now and then. Two in a row count in full.
    this.set(
      file,
      before === undefined
        ? durationMs
        : before * 0.8 + Math.min(durationMs, before * AT_MOST_TIMES) * 0.2,
      part,
    );
  }

  /** Pieces of this code take as long as this. */
  set(file: string, durationMs: number, part = ""): void {
    let parts = this.#files.get(file);
    if (parts === undefined) this.#files.set(file, (parts = new Map()));
    parts.set(part, durationMs);
    if (this.#files.size > MOST_FILES) this.#files.delete(this.#files.keys().next().value!);
  }
}
