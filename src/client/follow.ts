/** The lines of all ledgers, one after the other, as they are written. */
import type { PipelineLine, RunLine } from "../core/event.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { LedgerMark, type TailLine } from "../views/ledger-mark.ts";
import { LedgerTail } from "../views/ledger-tail.ts";
import { LOOK_MS, pause } from "./looking.ts";

/** How many looks there are from one search for new pipelines to the next. */
const LOOKS_PER_LISTING = 10;

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

/** Follows the ledgers of a root. @throws TypeError where `from` is no position */
export function followLedgers(store: RunStore, options: FollowOptions): Follow {
  const tail = new LedgerTail(store, options.pipeline);
  const mark = options.from === undefined ? new LedgerMark() : LedgerMark.parse(options.from);
  // Where the lines begin is settled now, and not with the first step of the `for await`.
  const first = options.from === undefined ? tail.begin(0, mark) : undefined;
  return {
    get position() {
      return mark.toString();
    },
    async *[Symbol.asyncIterator]() {
      const give = function* (lines: readonly TailLine[]): Generator<FollowedLine> {
        for (const line of lines) {
          mark.took(line);
          yield line as unknown as FollowedLine;
        }
      };
      try {
        yield* give(first ?? tail.resume(mark));
        for (let look = 1; options.signal?.aborted !== true; look += 1) {
          await pause(LOOK_MS, options.signal);
          yield* give(tail.look(look % LOOKS_PER_LISTING === 0));
        }
      } finally {
        tail.close();
      }
    },
  };
}
