/** One set of watchers, and any number of feeds in one process. */
import { systemClock, type Clock } from "../clock.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Feed, FeedOptions } from "./feed-line.ts";

/** What a hub needs. */
export interface FeedHost {
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
}

/** Feeds of one runs folder that share their watchers and their reading. Close it after use. */
export class FeedHub {
  readonly #store: RunStore;
  readonly #clock: Clock;

  constructor(store: RunStore, { clock = systemClock }: FeedHost = {}) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * A feed of its own: each reader has its position, and none waits for another.
   *
   * @throws TypeError where `from` is no position, or one of other ledgers
   */
  subscribe(options: FeedOptions = {}): Feed {
    throw new Error(`${this.#store.runsDir} ${this.#clock.now()} ${options.from}`);
  }

  /**
   * Has a listener told that something changed in a pipeline's folder: a hint for caches, which may
   * come late and too often. It must not throw.
   *
   * @returns ends it
   */
  onChange(listener: (pipeline: string) => void): () => void {
    return () => void listener;
  }

  /** Ends every feed, and watches nothing any more. */
  close(): void {}
}
