/** Tells when `notify.jsonl` has changed: it is no ledger of the feed, and needs no position. */
import { statSync } from "node:fs";

/** How often its file is looked at, in milliseconds. */
const LOOK_MS = 1_000;

/** Looks at one file, while somebody wants to know. */
export class NotifyWatch {
  readonly #path: string;
  readonly #changed: () => void;
  #timer: NodeJS.Timeout | undefined;
  #mark = "";

  constructor(path: string, changed: () => void) {
    this.#path = path;
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
    try {
      const stats = statSync(this.#path, { throwIfNoEntry: false });
      return stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    } catch {
      return "";
    }
  }
}
