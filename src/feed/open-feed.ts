import type { RunStore } from "../ledger/run-store.ts";
import { FeedHub, type FeedHost } from "./feed-hub.ts";
import type { Feed, FeedLine, FeedOptions } from "./feed-line.ts";
import { parsePosition, positionText } from "./position-text.ts";
import { presentPosition } from "./present-position.ts";

/**
 * The lines of a runs folder's ledgers, for one reader. A process with several readers makes a
 * {@link FeedHub}. Where the lines begin is settled now. Watching begins with the first line that
 * is asked for: a feed that nobody reads holds nothing, and needs no end. A feed that is read ends
 * with its `for await`, or by `close`.
 *
 * @throws as {@link FeedHub.subscribe}
 */
export function openFeed(store: RunStore, options: FeedOptions & FeedHost = {}): Feed {
  return new OpenedFeed(store, options);
}

class OpenedFeed implements Feed {
  readonly #store: RunStore;
  readonly #options: FeedOptions & FeedHost;
  readonly #start: string;
  #feed: Feed | undefined;
  #isClosed = false;

  constructor(store: RunStore, options: FeedOptions & FeedHost) {
    const { from, pipeline, run } = options;
    const scope = { pipeline, run };
    if (pipeline !== undefined) store.pipelineDir(pipeline);
    if (from !== undefined) parsePosition(from, scope);
    this.#start = from ?? positionText(presentPosition(store, scope), scope, undefined);
    this.#store = store;
    this.#options = options;
  }

  get position(): string {
    return this.#feed?.position ?? this.#start;
  }

  close(): void {
    this.#isClosed = true;
    this.#feed?.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<FeedLine, undefined> {
    let lines: AsyncIterator<FeedLine, undefined> | undefined;
    const end = { done: true, value: undefined } as const;
    return {
      next: () => {
        if (this.#isClosed) return Promise.resolve(end);
        lines ??= this.#open()[Symbol.asyncIterator]() as AsyncIterator<FeedLine, undefined>;
        return lines.next();
      },
      return: () => {
        this.close();
        return Promise.resolve(end);
      },
    };
  }

  #open(): Feed {
    if (this.#feed !== undefined) return this.#feed;
    const { pipeline, run } = this.#options;
    const hub = new FeedHub(this.#store, this.#options, { pipeline, run });
    const options = { ...this.#options, from: this.#start };
    return (this.#feed = hub.subscribe(options, () => hub.close()));
  }
}
