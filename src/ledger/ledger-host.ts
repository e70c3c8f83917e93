/**
 * What a ledger needs from its writer: a clock, a disk, and what to call when the disk is full or
 * fails. A ledger waits for what waiting can cure. Any other error ends the process
 * (docs/semantics.md 29).
 */
import type { Disk } from "../disk/disk.ts";
import type { RoomHost } from "../disk/until-room.ts";
import type { LedgerFailed } from "./ledger-error.ts";

/** The writer of ledgers. Its lines wait while the disk is full. */
export interface LedgerHost extends RoomHost {
  /** Called once, when a write or sync failed for good: end the process. */
  readonly onFatal: (error: LedgerFailed) => void;
  /** Default: the disk of the machine. */
  readonly disk?: Disk | undefined;
}

/** Tells the host about an error that nothing cures. @returns the same error, to be thrown */
export function fatal(host: Pick<LedgerHost, "onFatal">, error: LedgerFailed): LedgerFailed {
  host.onFatal(error);
  return error;
}
