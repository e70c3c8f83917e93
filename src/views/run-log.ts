/**
 * What a run's steps printed, a page at a time. A log can be long: it is read in blocks, and no
 * more of it than a page asks for.
 */
import { open, type FileHandle } from "node:fs/promises";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";
import { lineIndexOf } from "./line-index.ts";
import { LineSplitter } from "./line-splitter.ts";

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
  /** The first line that is looked at, from 1; below 0: so many lines before the log's end. */
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
  /** The number of the first line that was looked at. */
  readonly from: number;
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
  const path = store.runLog(run);
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (file === undefined) {
    const from = Math.max(1, filter.from);
    return { lines: [], from, next: from, more: false };
  }
  try {
    return await readPage(path, file, filter);
  } finally {
    await file.close();
  }
}

async function readPage(path: string, file: FileHandle, filter: RunLogFilter): Promise<RunLogPage> {
  const index = await lineIndexOf(path, file);
  const from = filter.from < 0 ? Math.max(1, index.lines + 1 + filter.from) : filter.from;
  const { end } = index;
  const { line: first, offset } = index.before(from);
  const fits = filterOf(filter);
  const lines: NumberedLine[] = [];
  let n = first - 1;
  let more = false;
  for await (const raw of wholeLines(file, offset, end)) {
    if (raw === undefined || lines.length >= filter.limit) {
      more = true;
      break;
    }
    n += 1;
    const line = n < from ? undefined : lineOf(n, raw);
    if (line !== undefined && fits(line)) lines.push(line);
  }
  return { lines, from, next: Math.max(n + 1, from), more };
}

function filterOf({ step, stream, q }: RunLogFilter): (line: NumberedLine) => boolean {
  const wanted = q?.toLowerCase();
  return (line) =>
    (step === undefined || line.step === step) &&
    (stream === undefined || line.stream === stream) &&
    (wanted === undefined || line.line.toLowerCase().includes(wanted));
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

/** The whole lines between two offsets; undefined as the last one where enough was read. */
async function* wholeLines(
  file: FileHandle,
  from: number,
  to: number,
): AsyncGenerator<Buffer | undefined> {
  const block = Buffer.allocUnsafe(Math.max(1, Math.min(BLOCK_BYTES, to - from)));
  const splitter = new LineSplitter(LONGEST_LINE_BYTES);
  for (let offset = from; offset < to;) {
    if (offset - from >= MOST_BYTES && splitter.isWhole) return yield undefined;
    const wanted = Math.min(block.length, to - offset);
    const { bytesRead } = await file.read(block, 0, wanted, offset);
    if (bytesRead === 0) return;
    offset += bytesRead;
    yield* splitter.lines(block.subarray(0, bytesRead));
  }
}
