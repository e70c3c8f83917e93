/**
 * What can be wrong with a ledger, each a class of its own because each asks for something else: an
 * existing one is taken, a damaged one is quarantined, one of a newer format waits for a newer
 * orchd, and after a failed write the daemon ends.
 */

/** The ledger is there already: somebody else fired this slot. Nothing was written. */
export class LedgerExists extends Error {
  override readonly name = "LedgerExists";
  readonly path: string;
  constructor(path: string) {
    super(`The ledger ${path} exists already; a run's ledger is created only once.`);
    this.path = path;
  }
}

/** The ledger has a bad line that no torn write explains. It is never appended to. */
export class LedgerDamaged extends Error {
  override readonly name = "LedgerDamaged";
  readonly path: string;
  /** The first bad line, from 1. */
  readonly line: number;
  readonly fault: string;
  constructor(path: string, line: number, fault: string) {
    super(
      `The ledger ${path} is damaged at line ${line}: ${fault}. Restore it from a backup, or ask for \`orchd verify\` to see all that is wrong.`,
    );
    this.path = path;
    this.line = line;
    this.fault = fault;
  }
}

/** The ledger was written by a newer release in a format that this one does not know. */
export class LedgerFormatError extends Error {
  override readonly name = "LedgerFormatError";
  readonly path: string;
  readonly format: unknown;
  constructor(path: string, format: unknown, supported: number) {
    super(
      `The ledger ${path} has format ${JSON.stringify(format)}, and this orchd reads formats up to ${supported}. Install a newer orchd to use it.`,
    );
    this.path = path;
    this.format = format;
  }
}

/**
 * A write or sync failed for good. Nothing that was not acknowledged before may be relied on; the
 * daemon has to end (semantics.md 29).
 */
export class LedgerFailed extends Error {
  override readonly name = "LedgerFailed";
  readonly path: string;
  constructor(path: string, what: string, cause: unknown) {
    super(
      `${what} ${path} failed: ${cause instanceof Error ? cause.message : String(cause)}. Nothing more is acknowledged; check the disk and restart orchd.`,
      { cause },
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
 * An event is too big for a line; its big fields should have become artifacts (spill-event.ts).
 * Nothing was written.
 */
export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
  constructor(path: string, type: string, bytes: number) {
    super(
      `A ${type} line of ${bytes} bytes was not written to ${path}: a line stays below 1 MiB. Return less from the step, or write it to a file and return its path.`,
    );
  }
}
