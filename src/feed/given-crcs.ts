import { markCrc, type Mark } from "./feed-position.ts";

/** How many are kept at least, once there are so many. */
const KEPT = 4_096;

/** The checksums of the newest lines of one ledger that were given: 24 bits of each. */
export class GivenCrcs {
  /** The seq of the first one. */
  #first = 1;
  #crcs: number[] = [];

  /** Begins with what a mark knows. */
  static of(mark: Mark): GivenCrcs {
    const given = new GivenCrcs();
    if (mark.crc === undefined || mark.seq === 0) return given;
    given.#crcs = [...mark.back.toReversed(), mark.crc];
    given.#first = mark.seq - mark.back.length;
    return given;
  }

  /** The line that was given now. What was given in its place, and after that, does not count. */
  add(seq: number, crc: number): void {
    const index = seq - this.#first;
    if (index < 0 || index > this.#crcs.length) {
      this.#first = seq;
      this.#crcs = [];
    } else if (index < this.#crcs.length) {
      this.#crcs.length = index;
    }
    this.#crcs.push(markCrc(crc));
    if (this.#crcs.length < 2 * KEPT) return;
    this.#crcs = this.#crcs.slice(-KEPT);
    this.#first = seq - KEPT + 1;
  }

  /** A line's checksum; undefined: not known. */
  of(seq: number): number | undefined {
    return this.#crcs[seq - this.#first];
  }

  /** Whether this very line was given. */
  has(seq: number, crc: number): boolean {
    return this.of(seq) === markCrc(crc);
  }
}
