/** A run's ledger as it stands in its file: raw lines, a page at a time. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseObject } from "../core/json-object.ts";
import { LineSplitter } from "./line-splitter.ts";

/** How much one page holds, in bytes; one line may be longer. */
const PAGE_BYTES = 4_194_304;

/** A page of a ledger. */
export interface LedgerPage {
  /** The lines as they stand in the file, each a whole JSON object. */
  readonly lines: readonly string[];
  /** The number of the first line that is not in this page; null at the file's end. */
  readonly next: number | null;
  /** A line that is no JSON object: what comes after it is not given. */
  readonly fault: string | null;
}

/**
 * Reads a page of a ledger.
 *
 * @param from the number of the first line, from 1
 * @param limit how many lines at most
 * @throws a Node error
 */
export function readLedgerLines(path: string, from: number, limit: number): LedgerPage {
  const lines: string[] = [];
  let n = 0;
  let bytes = 0;
  for (const raw of rawLines(path)) {
    n += 1;
    if (n < from) continue;
    if (lines.length >= limit || bytes > PAGE_BYTES) return { lines, next: n, fault: null };
    const text = raw.toString("utf8");
    if (parseObject(text) === undefined)
      return { lines, next: null, fault: `line ${n}: it is no JSON object` };
    lines.push(text);
    bytes += raw.length;
  }
  return { lines, next: null, fault: null };
}

/** The whole lines of a file, without what follows the last line feed. */
function* rawLines(path: string): Generator<Buffer> {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const block = Buffer.allocUnsafe(Math.min(262_144, Math.max(1, size)));
    const splitter = new LineSplitter();
    for (let offset = 0; offset < size;) {
      const read = readSync(fd, block, 0, Math.min(block.length, size - offset), offset);
      if (read === 0) return;
      offset += read;
      yield* splitter.lines(block.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
}
