/** The lines of all ledgers, one after the other, as they are written. */
import type { PipelineLine, RunLine } from "../core/event.ts";
import type { Feed } from "../feed/feed-line.ts";
import { openFeed } from "../feed/open-feed.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { ClientError } from "./client-error.ts";

/** One line of a ledger. Types that a newer release writes come as they are. */
export type FollowedLine =
  | { readonly pipeline: string; readonly run?: undefined; readonly line: PipelineLine }
  | { readonly pipeline: string; readonly run: string; readonly line: RunLine };

/** What lines are given. */
export interface FollowOptions {
  /** The lines after this position of an earlier {@link Follow}. Default: those that come. */
  readonly from?: string | undefined;
  /** Only the lines of this pipeline and its runs. */
  readonly pipeline?: string | undefined;
  /** Ends the lines. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ledger lines as they are written, for one `for await`. Each whole line comes once, and the lines
 * of one ledger in their order.
 */
export interface Follow extends AsyncIterable<FollowedLine> {
  /**
   * Where this is: after the last line that was given. A text; keep it to go on from there, also
   * after the daemon or this program was started again.
   */
  readonly position: string;
}

/**
 * Follows the ledgers of a root. What cannot be followed rejects where its first line is asked for:
 * with a {@link ClientError} where `from` is no position, or where `check` throws one.
 *
 * @param check throws where it is known already that nothing can be followed
 */
export function followLedgers(
  store: RunStore,
  options: FollowOptions,
  check: () => void = () => undefined,
): Follow {
  const { from, pipeline, signal } = options;
  let feed: Feed;
  try {
    check();
    feed = openFeed(store, { from, pipeline, signal });
  } catch (error) {
    return refused(
      error instanceof TypeError ? new ClientError("usage", error.message) : error,
      from,
    );
  }
  return {
    get position() {
      return feed.position;
    },
    async *[Symbol.asyncIterator]() {
      for await (const { pipeline: of, run, line } of feed)
        yield (run === undefined
          ? { pipeline: of, line }
          : { pipeline: of, run, line }) as unknown as FollowedLine;
    },
  };
}

/** What is followed in vain: its first line is the reason. */
function refused(reason: unknown, from = ""): Follow {
  return {
    position: from,
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(reason) }),
  };
}
