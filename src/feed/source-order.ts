import type { PipelineSource } from "./pipeline-source.ts";
import type { RunSource } from "./run-source.ts";

/** A ledger that is read. */
export type Source = PipelineSource | RunSource;

/**
 * Ledgers whose next line is there, by the time of that line. Lines of one ledger stay in their
 * order, also where the clock went back. Of one moment the pipeline's line comes last, because it
 * is written last.
 *
 * A sorted array: a reader that keeps up has a few of them, and one that was away a thousand.
 */
export class SourceOrder {
  /** The first one is the last element. */
  readonly #sources: Source[] = [];

  /** The ledger whose next line is the earliest. */
  get first(): Source | undefined {
    return this.#sources.at(-1);
  }

  /** Adds a ledger whose next line has come, or puts it into its place again. */
  put(source: Source): void {
    this.remove(source);
    const at = `${source.head!.at}${source.run === undefined ? "~" : ""}`;
    if (at > source.order) source.order = at;
    let [low, high] = [0, this.#sources.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sources[middle]!.order > source.order) low = middle + 1;
      else high = middle;
    }
    this.#sources.splice(low, 0, source);
  }

  /** Removes a ledger, if it is there. */
  remove(source: Source): void {
    const index = this.#sources.lastIndexOf(source);
    if (index >= 0) this.#sources.splice(index, 1);
  }
}
