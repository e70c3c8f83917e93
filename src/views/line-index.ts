/**
 * Where the lines of a growing file begin, so that neither its end nor any line of it has to be
 * looked for from the beginning.
 *
 * Every {@link EVERY}th line's offset is kept: a log of ten million lines takes 80 kB. What was
 * read once is never read again, as the file only grows; a file that shrank, or that is another
 * one, is read anew. Rejected: an index on the disk. A reader writes nothing.
 */
import type { FileHandle } from "node:fs/promises";

const LF = 0x0a;
const BLOCK_BYTES = 1_048_576;
const EVERY = 1_024;
/** The files whose index is kept: those that were asked for last. */
const KEPT = 32;

/** A line, and where it begins. */
export interface LinePlace {
  /** The line's number, from 1. */
  readonly line: number;
  readonly offset: number;
}

/** One file's index. */
class LineIndex {
  readonly #inode: number;
  /** Where the lines 1, 1 + EVERY, 1 + 2 * EVERY … begin. */
  readonly #offsets: number[] = [0];
  #lines = 0;
  /** Behind the last line feed that was seen. */
  #end = 0;
  /** How far the file was read. */
  #read = 0;
  #reading: Promise<void> = Promise.resolve();

  constructor(inode: number) {
    this.#inode = inode;
  }

  /** How many whole lines there are. */
  get lines(): number {
    return this.#lines;
  }

  /** Behind the last whole line. */
  get end(): number {
    return this.#end;
  }

  /** Whether it is of this file as it is now. */
  fits(inode: number, size: number): boolean {
    return inode === this.#inode && size >= this.#read;
  }

  /** Reads what the file has got since. One reading goes on at a time. */
  extend(file: FileHandle, size: number): Promise<void> {
    this.#reading = this.#reading.then(
      () => this.#readOn(file, size),
      () => this.#readOn(file, size),
    );
    return this.#reading;
  }

  async #readOn(file: FileHandle, size: number): Promise<void> {
    if (this.#read >= size) return;
    const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size - this.#read));
    while (this.#read < size) {
      const length = Math.min(block.length, size - this.#read);
      const { bytesRead } = await file.read(block, 0, length, this.#read);
      if (bytesRead === 0) return;
      const read = block.subarray(0, bytesRead);
      for (let lf = read.indexOf(LF); lf >= 0; lf = read.indexOf(LF, lf + 1)) {
        this.#lines += 1;
        this.#end = this.#read + lf + 1;
        if (this.#lines % EVERY === 0) this.#offsets.push(this.#end);
      }
      this.#read += bytesRead;
    }
  }

  /** The nearest line at or before a line whose beginning is known. */
  before(line: number): LinePlace {
    const at = Math.min(Math.floor((Math.max(1, line) - 1) / EVERY), this.#offsets.length - 1);
    return { line: at * EVERY + 1, offset: this.#offsets[at]! };
  }
}

const kept = new Map<string, LineIndex>();

/** The index of an open file, as long as the file is now. @throws a Node error */
export async function lineIndexOf(
  path: string,
  file: FileHandle,
): Promise<Pick<LineIndex, "lines" | "end" | "before">> {
  const { ino, size } = await file.stat();
  const known = kept.get(path);
  const index = known?.fits(ino, size) === true ? known : new LineIndex(ino);
  kept.delete(path);
  kept.set(path, index);
  const [oldest] = kept.keys();
  if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  await index.extend(file, size);
  return index;
}
