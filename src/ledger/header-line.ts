import { closeSync, constants, openSync, readSync } from "node:fs";
import type { RunLine } from "../core/event.ts";

/**
 * The first line of a run's ledger, parsed; undefined where it cannot be parsed. Cheap: it reads
 * hardly more than that line.
 */
export function readHeaderLine(path: string): RunLine | undefined {
  let fd: number | undefined;
  try {
    // Something else may have the ledger's name: a pipe must not block, and a folder is no ledger.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.alloc(65_536);
      const length = readSync(fd, chunk, 0, chunk.length, null);
      const end = chunk.subarray(0, length).indexOf(10);
      chunks.push(end === -1 ? chunk.subarray(0, length) : chunk.subarray(0, end));
      if (end !== -1 || length === 0) break;
    }
    return JSON.parse(Buffer.concat(chunks).toString()) as RunLine;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
