/** Splits what is read of a file into whole lines, a block at a time. */

const LF = 0x0a;

/** The lines of one file, read from one offset on. */
export class LineSplitter {
  readonly #longest: number;
  /** The beginning of the line whose end has not come. */
  #parts: Buffer[] = [];
  #length = 0;

  /** @param longest how much of a line is kept between two blocks, in bytes: a longer one is cut */
  constructor(longest = Number.POSITIVE_INFINITY) {
    this.#longest = longest;
  }

  /** Whether what was read ends where a line ends. */
  get isWhole(): boolean {
    return this.#length === 0;
  }

  /** The lines that end in the next block, without their line feeds: good until it is changed. */
  *lines(block: Buffer): Generator<Buffer> {
    let start = 0;
    for (let lf = block.indexOf(LF); lf >= 0; lf = block.indexOf(LF, start)) {
      const part = block.subarray(start, lf);
      yield this.#parts.length === 0 ? part : Buffer.concat([...this.#parts, part]);
      this.#parts = [];
      this.#length = 0;
      start = lf + 1;
    }
    if (start === block.length || this.#length > this.#longest) return;
    this.#parts.push(Buffer.from(block.subarray(start)));
    this.#length += block.length - start;
  }
}
