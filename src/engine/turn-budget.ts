/** How many files are read in one turn of the event loop. */
const FILES_AT_ONCE = 50;
/** No further file is read in a turn once those read have this many bytes. */
export const BYTES_AT_ONCE = 262_144;
/** How many names of the folder are passed over in one turn. */
const NAMES_AT_ONCE = 1_000;

/** How much was done in this turn of the event loop, where many files are read. */
export class TurnBudget {
  names = 0;
  #files = 0;
  #bytes = 0;

  /** A file was read. */
  count(bytes: number): void {
    this.#files += 1;
    this.#bytes += bytes;
  }

  get isOver(): boolean {
    return (
      this.names >= NAMES_AT_ONCE || this.#files >= FILES_AT_ONCE || this.#bytes >= BYTES_AT_ONCE
    );
  }

  /** Waits for the next one. */
  async next(): Promise<void> {
    await new Promise((resume) => void setImmediate(resume));
    this.names = 0;
    this.#files = 0;
    this.#bytes = 0;
  }
}
