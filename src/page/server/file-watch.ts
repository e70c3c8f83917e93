/**
 * Tells when `notify.jsonl` or `places.jsonl` has changed: they are no ledgers of the feed, and
 * need no position.
 */
import { statSync } from "node:fs";

/** How often the files are looked at, in milliseconds. */
const LOOK_MS = 1_000;

/** Looks at some files, while somebody wants to know. */
export class FileWatch {
  readonly #paths: readonly string[];
  readonly #changed: () => void;
  #timer: NodeJS.Timeout | undefined;
  #mark = "";

  constructor(paths: readonly string[], changed: () => void) {
    this.#paths = paths;
    this.#changed = changed;
  }

  /** Looks from now on, or no more. */
  set on(isWanted: boolean) {
    if (isWanted === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!isWanted) return;
    this.#mark = this.#look();
    this.#timer = setInterval(() => {
      const mark = this.#look();
      if (mark === this.#mark) return;
      this.#mark = mark;
      this.#changed();
    }, LOOK_MS).unref();
  }

  #look(): string {
    return this.#paths.map(markOf).join("; ");
  }
}

function markOf(path: string): string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
  } catch {
    return "";
  }
}
