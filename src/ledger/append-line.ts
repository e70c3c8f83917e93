import type { Clock } from "../clock.ts";
import type { PipelineEvent } from "../core/event.ts";
import { LedgerClosed } from "./ledger-error.ts";
import { PipelineLedger } from "./pipeline-ledger.ts";

/**
 * Appends one line to a pipeline's ledger that nobody has open; the caller holds the daemon's lock.
 * Gives up while the disk is full.
 *
 * @throws LedgerBlocked, LedgerFormatError, LedgerFailed
 */
export async function appendLine(
  runsDir: string,
  pipeline: string,
  line: PipelineEvent,
  clock: Clock,
): Promise<void> {
  let giveUp!: () => void;
  const held = new Promise<void>((resolve) => (giveUp = resolve));
  const onHeld = (waits: boolean): void => {
    if (waits) giveUp();
  };
  const ledger = await PipelineLedger.open(runsDir, pipeline, {
    clock,
    onHeld,
    onFatal: () => undefined,
  });
  const written = ledger.append([line]).catch((error: unknown) => {
    // So ends a line that is given up.
    if (!(error instanceof LedgerClosed)) throw error;
  });
  try {
    await Promise.race([written, held]);
  } finally {
    await ledger.close();
  }
  await written;
}
