/**
 * What a run's steps printed, a page at a time. A log can be long: it is read in blocks, and no
 * more of it than a page asks for.
 */
import { open } from "node:fs/promises";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "./json-line.ts";

const LF = 0x0a;
const BLOCK_BYTES = 262_144;
/** How much is read for one page, in bytes: a search may find nothing. */
const MOST_BYTES = 67_108_864;
/** A longer line is none that a step wrote: it is passed over. */
const LONGEST_LINE_BYTES = 16_777_216;

/** Which lines are given. */
export interface RunLogFilter {
  /** Only this step's. */
  readonly step?: string | undefined;
  readonly stream?: string | undefined;
  /** The first line that is looked at, from 1. */
  readonly from: number;
  /** Only lines with this text, in any case. */
  readonly q?: string | undefined;
  /** How many at most. */
  readonly limit: number;
}

/** A line of a log, with its number in the file. */
export interface NumberedLine {
  /** From 1. */
  readonly n: number;
  readonly at: string;
  readonly step: string;
  readonly attempt: number;
  readonly stream: string;
  readonly line: string;
}

/** A page of a run's log. */
export interface RunLogPage {
  readonly lines: readonly NumberedLine[];
  /** Where the next page begins: the number of the first line that was not looked at. */
  readonly next: number;
  /** Whether the file has more now. */
  readonly more: boolean;
}

/** Reads a page of a run's log; without a file it is empty. @throws a Node error */
export async function readRunLog(
  store: RunStore,
  run: string,
  filter: RunLogFilter,
): Promise<RunLogPage> {
  const lines: NumberedLine[] = [];
  const wanted = filter.q?.toLowerCase();
  let n = 0;
  let more = false;
  for await (const raw of wholeLines(store.runLog(run))) {
    if (raw === undefined || lines.length >= filter.limit) {
      more = true;
      break;
    }
    n += 1;
    if (n < filter.from) continue;
    const line = lineOf(n, raw);
    if (line === undefined) continue;
    if (filter.step !== undefined && line.step !== filter.step) continue;
    if (filter.stream !== undefined && line.stream !== filter.stream) continue;
    if (wanted !== undefined && !line.line.toLowerCase().includes(wanted)) continue;
    lines.push(line);
  }
  return { lines, next: Math.max(n + 1, filter.from), more };
}

function lineOf(n: number, raw: Buffer): NumberedLine | undefined {
  const { at, step, attempt, stream, line } = parseObject(raw.toString("utf8")) ?? {};
  if (typeof at !== "string" || typeof step !== "string") return undefined;
  return {
    n,
    at,
    step,
    attempt: typeof attempt === "number" ? attempt : 1,
    stream: typeof stream === "string" ? stream : "stdout",
    line: typeof line === "string" ? line : JSON.stringify(line ?? null),
  };
}

/** The whole lines of a file; undefined as the last one where enough of it was read. */
async function* wholeLines(path: string): AsyncGenerator<Buffer | undefined> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (file === undefined) return;
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    let parts: Buffer[] = [];
    let length = 0;
    for (let offset = 0; offset < MOST_BYTES;) {
      const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, offset);
      if (bytesRead === 0) return;
      offset += bytesRead;
      const read = block.subarray(0, bytesRead);
      let start = 0;
      for (let lf = read.indexOf(LF); lf >= 0; lf = read.indexOf(LF, start)) {
        const part = read.subarray(start, lf);
        yield parts.length === 0 ? part : Buffer.concat([...parts, part]);
        parts = [];
        length = 0;
        start = lf + 1;
      }
      if (start < bytesRead && length <= LONGEST_LINE_BYTES) {
        parts.push(Buffer.from(read.subarray(start)));
        length += bytesRead - start;
      }
    }
    yield undefined;
  } finally {
    await file.close();
  }
}
