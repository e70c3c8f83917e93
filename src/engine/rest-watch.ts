/**
 * Watches the folders of pipelines at rest, so that looking at a thousand of them costs nothing. A
 * pipeline is at rest when nothing was written to its ledger between two looks. The first event, of
 * whatever kind, ends the watch: somebody touched a file, or the pipeline is written again, and
 * then it is looked at in turn. So a busy pipeline never wakes the daemon by its own writes.
 *
 * A watcher may lose events, and does not hear of folders above: a slow look goes on beside it.
 */
import { watch, type FSWatcher } from "node:fs";

/** The most folders that are watched; the others are looked at in turn. */
const MOST = 4_096;
/** What the system says where it gives no more watches. */
const NO_MORE: ReadonlySet<string | undefined> = new Set(["ENOSPC", "EMFILE", "ENFILE"]);

/** The watches of one daemon. */
export class RestWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  /** The last line of each ledger at the last look. */
  readonly #seen = new Map<string, number>();
  #canWatch = true;

  /** Whether a pipeline is watched. */
  has(pipeline: string): boolean {
    return this.#watchers.has(pipeline);
  }

  /**
   * A pipeline was looked at. Watches it if it is at rest.
   *
   * @param lastSeq the last line of its ledger
   * @param onEvent called once, if something happens in the folder
   */
  seen(pipeline: string, lastSeq: number, folder: string, onEvent: () => void): void {
    if (this.#watchers.has(pipeline)) return;
    const rests = this.#seen.get(pipeline) === lastSeq;
    this.#seen.set(pipeline, lastSeq);
    if (!rests || !this.#canWatch || this.#watchers.size >= MOST) return;
    const end = (): void => {
      this.#watchers.get(pipeline)?.close();
      if (this.#watchers.delete(pipeline)) setImmediate(onEvent);
    };
    try {
      const watcher = watch(folder, { persistent: false }, end);
      watcher.on("error", end);
      this.#watchers.set(pipeline, watcher);
    } catch (error) {
      // Another error is one of this folder: it is gone, or may not be read.
      if (NO_MORE.has((error as NodeJS.ErrnoException).code)) this.#canWatch = false;
    }
  }

  /** Watches nothing any more. */
  close(): void {
    this.#canWatch = false;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}
