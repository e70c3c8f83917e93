import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** How much of a file's end is read at first, in bytes. */
const TAIL_BYTES = 65_536;

/**
 * The last line of a text file, without its end.
 *
 * @throws a Node error if the file cannot be read
 */
export function lastLineOf(path: string): string {
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    for (let length = Math.min(size, TAIL_BYTES); ; length = Math.min(size, length * 8)) {
      const tail = Buffer.alloc(length);
      readSync(descriptor, tail, 0, length, size - length);
      const end = tail.at(-1) === 0x0a ? length - 1 : length;
      const start = end === 0 ? -1 : tail.lastIndexOf(0x0a, end - 1);
      if (start !== -1 || length === size) return tail.toString("utf8", start + 1, end);
    }
  } finally {
    closeSync(descriptor);
  }
}
