/**
 * The writes of one process that wait for room on the disk.
 *
 * A ledger or an artifact reports here once when it begins to wait, and once when it goes on. One
 * that is closed while it waits never goes on: it stays counted.
 */
import { whatRanOut } from "../disk/disk-error.ts";
import { isPathFault } from "../disk/path-fault.ts";
import type { Log } from "../log.ts";

/** Counts the writes that wait, and logs when one begins to wait and when it goes on. */
export class HeldWrites {
  readonly #log: Log;
  #count = 0;
  #ranOut = "";

  constructor(log: Log) {
    this.#log = log;
  }

  /** How many writes wait. */
  get count(): number {
    return this.#count;
  }

  /** What the last write that began to wait waits for: the beginning of a sentence. */
  get ranOut(): string {
    return this.#ranOut;
  }

  /** For the hosts of ledgers and artifacts. */
  readonly onHeld = (held: boolean, error?: unknown): void => {
    this.#count += held ? 1 : -1;
    if (!held) {
      this.#log.info({}, "a write that waited is done");
      return;
    }
    this.#ranOut = isPathFault(error)
      ? (error as Error).message.replace(/\.$/, "")
      : whatRanOut(error);
    this.#log.error({ err: error }, `${this.#ranOut}: what cannot be written waits`);
  };
}
