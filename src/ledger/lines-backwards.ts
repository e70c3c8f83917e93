import { fstatSync, readSync } from "node:fs";
import { readBytes } from "../disk/read-bytes.ts";
import { MAX_LINE_BYTES } from "./line-limit.ts";

const BLOCK_BYTES = 65_536;
const LF = 0x0a;

/**
 * Walks over the whole lines of a file from the last to the first, in blocks. Holds at most one
 * block and one line.
 */
export class LinesBackwards {
  readonly #fd: number;
  #bytes: Buffer = Buffer.alloc(0);
  /** The offset in the file of the first byte of `#bytes`. */
  #base: number;
  /** Where in `#bytes` the line given last begins. */
  #end = 0;

  constructor(fd: number) {
    this.#fd = fd;
    this.#base = fstatSync(fd).size;
    // What follows the last line feed is not a line.
    this.#end = this.#lineFeedBefore(0) + 1;
  }

  /** The offset in the file at which the line given last begins. */
  get offset(): number {
    return this.#base + this.#end;
  }

  /** The next line back, without its line feed; with `needle`, the next one that holds it. */
  previous(needle?: Buffer): Buffer | undefined {
    if (needle !== undefined) this.#seek(needle);
    const line = this.peek();
    if (line !== undefined) this.#end -= line.length + 1;
    return line;
  }

  /** The text of at most so many bytes before the line given last, as latin1. */
  textBefore(bytes: number): string {
    const length = Math.min(this.offset, bytes);
    return readBytes(this.#fd, this.offset - length, length).toString("latin1");
  }

  /** The line before the one given last, without going there. */
  peek(): Buffer | undefined {
    if (this.#base + this.#end === 0) return undefined;
    const lf = this.#lineFeedBefore(1);
    return this.#end === 0 ? undefined : this.#bytes.subarray(lf + 1, this.#end - 1);
  }

  /** Goes back until the line before holds `needle`, or to the start of the file. */
  #seek(needle: Buffer): void {
    for (;;) {
      const hit =
        this.#end < needle.length ? -1 : this.#bytes.lastIndexOf(needle, this.#end - needle.length);
      if (hit >= 0) {
        this.#end = this.#bytes.indexOf(LF, hit) + 1;
        return;
      }
      // Only a line that begins before the loaded bytes can still hold the needle.
      const lf = this.#bytes.indexOf(LF);
      if (lf >= 0 && lf < this.#end) this.#end = lf + 1;
      if (!this.#load()) {
        this.#end = 0;
        return;
      }
    }
  }

  /**
   * The newest line feed that is more than `but` bytes before the line given last; -1 if there is
   * none.
   */
  #lineFeedBefore(but: number): number {
    for (;;) {
      const lf = this.#end <= but ? -1 : this.#bytes.lastIndexOf(LF, this.#end - but - 1);
      if (lf >= 0 || this.#base === 0) return lf;
      if (!this.#load()) this.#end = 0;
    }
  }

  /**
   * Loads the block before. False at the start of the file, and where the loaded bytes without a
   * line feed are more than a line may have.
   */
  #load(): boolean {
    if (this.#base === 0) return false;
    if (this.#end > MAX_LINE_BYTES) {
      this.#base = 0;
      return false;
    }
    const length = Math.min(this.#base, Math.max(BLOCK_BYTES, this.#end));
    const block = Buffer.allocUnsafe(length);
    readSync(this.#fd, block, 0, length, this.#base - length);
    const initial = this.#bytes.length === 0;
    this.#bytes = initial ? block : Buffer.concat([block, this.#bytes.subarray(0, this.#end)]);
    this.#base -= length;
    this.#end += length;
    return true;
  }
}
