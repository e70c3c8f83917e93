import type { RunStore } from "../ledger/run-store.ts";
import { FeedHub, type FeedHost } from "./feed-hub.ts";
import type { Feed, FeedOptions } from "./feed-line.ts";

/**
 * The lines of a runs folder's ledgers, for one reader. A process with several readers makes a
 * {@link FeedHub}.
 *
 * @throws TypeError where `from` is no position, or one of other ledgers
 */
export function openFeed(store: RunStore, options: FeedOptions & FeedHost = {}): Feed {
  return new FeedHub(store, options).subscribe(options);
}
