/**
 * What can be wrong with a ledger. Each fault is a class of its own, because each asks for another
 * answer: the slot of an existing ledger is taken, a damaged ledger is quarantined, a ledger of a
 * newer format waits for a newer orchd, a blocked one waits until its path is mended, one that
 * another program changed is not gone on with, and after a failed write the daemon ends.
 */
import { countText } from "../core/counted.ts";
import { errorCode } from "../disk/disk-error.ts";
import { pathReason } from "../disk/path-fault.ts";

/** The ledger exists already: another writer fired this slot. Nothing was written. */
export class LedgerExists extends Error {
  override readonly name = "LedgerExists";
  readonly path: string;
  constructor(path: string) {
    super(`The ledger ${path} exists already; a run's ledger is created only once.`);
    this.path = path;
  }
}

/** The ledger has a bad line that no torn write explains. Nothing is appended to it any more. */
export class LedgerDamaged extends Error {
  override readonly name = "LedgerDamaged";
  readonly path: string;
  /** The first bad line, from 1. */
  readonly line: number;
  readonly fault: string;
  constructor(path: string, line: number, fault: string) {
    super(
      `The ledger ${path} is damaged at line ${line}: ${fault}. ` +
        "Restore it from a backup, or run `orchd verify` to see every fault.",
    );
    this.path = path;
    this.line = line;
    this.fault = fault;
  }
}

/** A newer release wrote the ledger, in a format that this one does not know. */
export class LedgerFormatError extends Error {
  override readonly name = "LedgerFormatError";
  readonly path: string;
  readonly format: unknown;
  constructor(path: string, format: unknown, supported: number) {
    super(
      `The ledger ${path} has format ${JSON.stringify(format)}, ` +
        `and this orchd reads formats up to ${supported}. Install a newer orchd to use it.`,
    );
    this.path = path;
    this.format = format;
  }
}

/**
 * A write or sync failed for good. Only what was acknowledged before is certain. The daemon must
 * end (semantics.md 29).
 */
export class LedgerFailed extends Error {
  override readonly name = "LedgerFailed";
  readonly path: string;
  constructor(path: string, what: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `${what} ${path} failed: ${why}. Nothing more is acknowledged; ` +
        "check the disk and restart orchd.",
      { cause },
    );
    this.path = path;
  }
}

/**
 * The ledger cannot be written, because its path is bad (path-fault.ts). Nothing was written. Other
 * ledgers are well, and this one can be written once the path is mended.
 */
export class LedgerBlocked extends Error {
  override readonly name = "LedgerBlocked";
  readonly path: string;
  /** The code of the Node error that says so. */
  readonly code: string | undefined;
  constructor(path: string, cause: unknown) {
    super(`The ledger ${path} cannot be written: ${pathReason(cause)}.`, { cause });
    this.path = path;
    this.code = errorCode(cause);
  }
}

/**
 * Another program changed what was in the ledger while this process was writing it, and nobody can
 * say what it held. Nothing more is written to it.
 */
export class LedgerOverwritten extends Error {
  override readonly name = "LedgerOverwritten";
  readonly path: string;
  constructor(path: string, size: number, expected: number) {
    super(
      `Another program changed the ledger ${path}: ` +
        (size === expected
          ? "its last line is another one."
          : `it has ${countText(size, "byte")} where ${expected} were written.`),
    );
    this.path = path;
  }
}

/** The ledger was closed before these lines were written. */
export class LedgerClosed extends Error {
  override readonly name = "LedgerClosed";
  constructor(path: string) {
    super(`The ledger ${path} is closed, so nothing more is written to it.`);
  }
}

/**
 * An event is too big for a line. Its big fields should have become artifacts (spill-event.ts).
 * Nothing was written.
 */
export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
  constructor(path: string, type: string, bytes: number) {
    super(
      `A ${type} line of ${bytes} bytes was not written to ${path}: a line must be shorter than ` +
        "1 MiB. Return less from the step, or write the value to a file and return its path.",
    );
  }
}
