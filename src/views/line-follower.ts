/**
 * A growing file, line by line.
 *
 * Only whole lines are given: a writer may still be at work on what follows the last line feed. A
 * missing file has no lines so far. A file that becomes shorter (recovery cuts a torn tail) is
 * followed from its new end. A file that is renamed and made again (rotation) is read to its old
 * end first.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { LineSplitter } from "./line-splitter.ts";

const BLOCK_BYTES = 262_144;

/** Follows one file. Close it after use. */
export class LineFollower {
  readonly path: string;
  #fd: number | undefined;
  #inode = 0;
  #offset = 0;
  #splitter = new LineSplitter();

  constructor(path: string) {
    this.path = path;
  }

  /**
   * The whole lines that were written since the last call.
   *
   * @throws a Node error, except where the file is missing
   */
  read(): string[] {
    return [...this.lines()];
  }

  /**
   * The same, a block at a time: a file can be larger than the memory. Take all of them, or close
   * this: a line that was not taken does not come again.
   *
   * @throws a Node error, except where the file is missing
   */
  *lines(): Generator<string> {
    if (this.#fd === undefined && !this.#open()) return;
    yield* this.#drain();
    // The old file is drained before the new one: its last lines were written before the new
    // file's first.
    if (this.#replaced()) {
      yield* this.#drain();
      this.close();
      if (this.#open()) yield* this.#drain();
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#offset = 0;
    this.#splitter = new LineSplitter();
  }

  #open(): boolean {
    try {
      this.#fd = openSync(this.path, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
    this.#inode = fstatSync(this.#fd).ino;
    return true;
  }

  #replaced(): boolean {
    try {
      return statSync(this.path).ino !== this.#inode;
    } catch (error) {
      // Between a rotation's rename and the new file's link there is no file for a moment.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  *#drain(): Generator<string> {
    const fd = this.#fd!;
    const { size } = fstatSync(fd);
    if (size < this.#offset) {
      this.#offset = size;
      this.#splitter = new LineSplitter();
    }
    const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, Math.max(1, size - this.#offset)));
    while (this.#offset < size) {
      const read = readSync(
        fd,
        block,
        0,
        Math.min(block.length, size - this.#offset),
        this.#offset,
      );
      if (read === 0) return;
      this.#offset += read;
      for (const line of this.#splitter.lines(block.subarray(0, read))) yield line.toString("utf8");
    }
  }
}
