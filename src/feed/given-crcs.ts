import { markCrc, type Mark } from "./feed-position.ts";

/** The checksums of the newest lines of one ledger that were given: 24 bits of each. */
export class GivenCrcs {
  /** The seq of the first one. */
  #first = 1;
  #crcs: number[] = [];
  readonly #kept: number;

  /** @param kept how many are kept at least, once there are so many */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** Begins with what a mark knows. */
  static of(mark: Mark, kept: number): GivenCrcs {
    const given = new GivenCrcs(kept);
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
    if (this.#crcs.length < 2 * this.#kept) return;
    this.#crcs = this.#crcs.slice(-this.#kept);
    this.#first = seq - this.#kept + 1;
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
