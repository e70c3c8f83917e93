/**
 * Watches folders. The kernel says which name in a folder changed; a file that is appended to
 * changes. It may lose events, and does not follow a path: a folder that is moved away keeps its
 * watch, and another folder in its place has none. So every watch is checked now and then.
 *
 * Where the machine gives no more watches, a folder stays without one: then its files are looked at
 * more often.
 */
import { statSync, watch, type FSWatcher } from "node:fs";

interface Watched {
  readonly watcher: FSWatcher;
  readonly ino: number;
}

/** The watches of one hub. */
export class FolderWatches {
  readonly #watched = new Map<string, Watched>();
  readonly #most: number;
  /** The machine gave no more watches. Tried again when one is free. */
  #isFull = false;

  /** @param most the most folders that are watched */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a folder is watched. */
  has(folder: string): boolean {
    return this.#watched.has(folder);
  }

  /** The folders that are watched. */
  get folders(): Iterable<string> {
    return this.#watched.keys();
  }

  /**
   * Watches a folder, unless it is watched. A watch on another folder that had this path ends.
   *
   * @param onEvent is told the name that changed, if the kernel says it
   * @returns whether it was watched before
   */
  watch(folder: string, onEvent: (name: string | undefined) => void): boolean {
    const ino = inodeOf(folder);
    const known = this.#watched.get(folder);
    if (known !== undefined && known.ino === ino) return true;
    this.end(folder);
    if (ino === undefined || this.#isFull || this.#watched.size >= this.#most) return false;
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        onEvent(name === null ? undefined : presentName(name));
      });
      watcher.on("error", () => this.end(folder));
      this.#watched.set(folder, { watcher, ino });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOSPC" || code === "EMFILE" || code === "ENFILE") this.#isFull = true;
    }
    return false;
  }

  /** Ends a watch. */
  end(folder: string): void {
    const known = this.#watched.get(folder);
    if (known === undefined) return;
    this.#watched.delete(folder);
    known.watcher.close();
    this.#isFull = false;
  }

  /** Ends all watches. */
  close(): void {
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }
}

/**
 * The name of a file that changed. A ledger is made under another name and then linked to its own
 * (`.pipeline.jsonl.PID-N`). For as long as its maker has it open, the kernel tells that first
 * name.
 */
function presentName(name: string): string {
  return /^\.(.+\.jsonl)\.\d+-\d+$/.exec(name)?.[1] ?? name;
}

function inodeOf(folder: string): number | undefined {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}
