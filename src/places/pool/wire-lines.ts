/**
 * Cuts what comes over a wire into lines. A line that is longer than it may be is told once, and
 * nothing is read after it: what is kept never grows past the limit.
 */

/** The byte that ends a line. */
const END = 10;

/** Cuts the chunks of one direction. */
export class WireLines {
  readonly #limit: number;
  readonly #line: (line: string) => void;
  readonly #tooLong: () => void;
  #parts: Buffer[] = [];
  #length = 0;
  #isOver = false;

  /** @param limit of a line, in bytes */
  constructor(limit: number, line: (line: string) => void, tooLong: () => void) {
    this.#limit = limit;
    this.#line = line;
    this.#tooLong = tooLong;
  }

  /** Takes a chunk. Nobody else may use it later. */
  add(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(END); at !== -1; at = chunk.indexOf(END, from)) {
      const part = chunk.subarray(from, at);
      from = at + 1;
      this.#keep(part);
      if (this.#isOver) return;
      const line = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
      this.#parts = [];
      this.#length = 0;
      this.#line(line.toString("utf8"));
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** Takes nothing more. */
  end(): void {
    this.#isOver = true;
    this.#parts = [];
  }

  #keep(part: Buffer): void {
    if (this.#isOver) return;
    this.#length += part.length;
    if (this.#length > this.#limit) {
      this.end();
      this.#tooLong();
    } else this.#parts.push(part);
  }
}
