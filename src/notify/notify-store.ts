/**
 * The port of what `orchd notify` remembers: its ledger, `runs/.orchd/notify.jsonl`, which
 * src/ledger/notify-ledger.ts writes. Nothing is sent before it is durable here, and no line is
 * acknowledged to the feed before what it called for is.
 */
import type { Alert } from "../core/alert.ts";
import type { NotifyCheckpoint, NotifyMessage, NotifyOutcome } from "../core/notify-fold.ts";

/** The memory of `orchd notify`, open to one process. */
export interface NotifyStore {
  /** The last checkpoint that is durable; undefined: nothing was ever folded. */
  readonly checkpoint: NotifyCheckpoint | undefined;
  /** The messages that are due and did not end, in the order in which they were due. */
  readonly waiting: Iterable<NotifyMessage>;
  /**
   * Makes durable, in one write, what was decided from lines up to a position: the messages that
   * are due, and the state after them. Waits while the disk is full.
   *
   * @returns when they were due; ISO 8601, UTC
   * @throws where the ledger cannot be written for good: the program ends
   */
  decided(alerts: readonly Alert[], checkpoint: NotifyCheckpoint): Promise<string>;
  /** Makes durable what became of a try. Waits and throws as above. */
  tried(alert: Pick<Alert, "key" | "channel">, outcome: NotifyOutcome): Promise<void>;
}
