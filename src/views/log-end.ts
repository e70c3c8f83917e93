/**
 * The last lines of what a run's steps printed. Only the file's end is read, so a log of a gigabyte
 * costs as little as a short one.
 */
import { open } from "node:fs/promises";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";

/** How much is read of the file's end, in bytes. A line that begins before it is left out. */
const END_BYTES = 262_144;

/** A line that a step printed. */
export interface PrintedLine {
  readonly step: string;
  readonly line: string;
}

/**
 * The last lines of a run's log, oldest first. Fewer than asked for where the file has fewer, or
 * where they are longer than 256 KiB together. None without a file.
 *
 * @param most how many at most
 * @throws RangeError if `run` is not a run's id; a Node error if the file cannot be read
 */
export async function readLogEnd(
  store: RunStore,
  run: string,
  most: number,
): Promise<PrintedLine[]> {
  const file = await open(store.runLog(run), "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (file === undefined) return [];
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - END_BYTES);
    const bytes = Buffer.allocUnsafe(size - from);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, from + length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return lastLines(bytes.subarray(0, length), from > 0, most);
  } finally {
    await file.close();
  }
}

/** @param cut whether the bytes begin within a line */
function lastLines(bytes: Buffer, cut: boolean, most: number): PrintedLine[] {
  const found: PrintedLine[] = [];
  // What follows the last line feed is not a whole line.
  let end = bytes.lastIndexOf("\n");
  while (end >= 0 && found.length < most) {
    const before = end === 0 ? -1 : bytes.lastIndexOf("\n", end - 1);
    if (before === -1 && cut) break;
    const line = printed(bytes.toString("utf8", before + 1, end));
    if (line !== undefined) found.push(line);
    end = before;
  }
  return found.toReversed();
}

function printed(text: string): PrintedLine | undefined {
  const { step, line } = parseObject(text) ?? {};
  if (typeof step !== "string") return undefined;
  return { step, line: typeof line === "string" ? line : JSON.stringify(line ?? null) };
}
