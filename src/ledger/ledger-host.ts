/**
 * Whoever writes ledgers, as a ledger sees it: it gives the time and the disk, and it is turned to
 * when the disk does not do as it is told. What waiting can cure is waited for; anything else ends
 * the process (docs/semantics.md 29).
 */
import type { Clock } from "../clock.ts";
import type { Disk } from "../disk/disk.ts";
import type { LedgerFailed } from "./ledger-error.ts";

/** See the head of this file. */
export interface LedgerHost {
  readonly clock: Clock;
  /** Called once, when a write or sync failed for good: end the process. */
  readonly onFatal: (error: LedgerFailed) => void;
  /** The disk is full, or no longer: lines wait meanwhile. */
  readonly onHeld?: ((held: boolean, error?: unknown) => void) | undefined;
  /** Default: the machine's. */
  readonly disk?: Disk | undefined;
}

/** Tells of an error that nothing cures. @returns the same, to be thrown */
export function fatal(host: Pick<LedgerHost, "onFatal">, error: LedgerFailed): LedgerFailed {
  host.onFatal(error);
  return error;
}
