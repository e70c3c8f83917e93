/**
 * How each channel fared since `notify.jsonl` began, from the file's end back to the last
 * checkpoint: it costs the same however long the file is. Checkpoints carry the totals over
 * rotations, so none goes back while the ledger is whole.
 */
import type { NotifyEvent } from "../core/notify-event.ts";
import { emptyNotifyRecord, evolveNotify, type ChannelTotals } from "../core/notify-fold.ts";
import { errorCode } from "../disk/disk-error.ts";
import { readTail } from "./ledger-reader.ts";
import type { RunStore } from "./run-store.ts";

/** The totals by channel. */
export interface NotifyTotals {
  readonly totals: ReadonlyMap<string, ChannelTotals>;
  /** What stands after a bad line is not counted. */
  readonly isDamaged: boolean;
}

/**
 * Reads the totals; none where there is no ledger.
 *
 * @throws LedgerFormatError if a newer release wrote it; a Node error if it cannot be read
 */
export function readNotifyTotals(store: RunStore): NotifyTotals {
  const record = emptyNotifyRecord();
  let isDamaged = false;
  try {
    const { end } = readTail<NotifyEvent>(store.notifyLedger, "notify.checkpoint", {
      each: (line) => evolveNotify(record, line),
    });
    isDamaged = end === "damaged";
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return { totals: record.totals, isDamaged };
}
