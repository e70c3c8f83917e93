import type { RunStore } from "../ledger/run-store.ts";
import { FeedHub, type FeedHost } from "./feed-hub.ts";
import type { Feed, FeedOptions } from "./feed-line.ts";

/**
 * The lines of a runs folder's ledgers, for one reader. A process with several readers makes a
 * {@link FeedHub}. Ends with the `for await`, or by `close`.
 *
 * @throws as {@link FeedHub.subscribe}
 */
export function openFeed(store: RunStore, options: FeedOptions & FeedHost = {}): Feed {
  const { pipeline, run } = options;
  const hub = new FeedHub(store, options, { pipeline, run });
  return hub.subscribe(options, () => hub.close());
}
