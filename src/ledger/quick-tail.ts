/**
 * Reads the end of a pipeline's ledger in one go, in the ordinary case: plain ASCII, whole to the
 * last byte, and the last checkpoint is near.
 *
 * `orchd status` has a few milliseconds for all pipelines. In a process that has just started, work
 * per byte and calls per field cost several times as much as later. So lines are cut and parsed as
 * text here. This reader checks what ledger-reader.ts checks. When something is not ordinary (a
 * torn or damaged line, another alphabet, a newer format), it does not judge but gives up: then the
 * exact reader reads the file.
 */
import { isAscii } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Framed } from "../core/event.ts";
import { parseObject } from "../core/json-object.ts";
import { LEDGER_FORMAT } from "../core/ledger-format.ts";

/** A pipe that has the name of a ledger must not block the reader. */
const READING = constants.O_RDONLY | constants.O_NONBLOCK;
const FIRST_BLOCK = 65_536;
const LAST_BLOCK = 1_048_576;
/** `,"crc":"9f0a11c2"}` */
const CRC_LENGTH = 18;

/**
 * The lines from the newest of this type on; without one, the whole ledger.
 *
 * @returns undefined if `readTail` has to read the file
 * @throws a Node error if the file cannot be opened
 */
export function readQuickTail<E>(path: string, type: string): Framed<E>[] | undefined {
  const fd = openSync(path, READING);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return undefined;
    const { size } = stats;
    for (let length = FIRST_BLOCK; length <= LAST_BLOCK; length *= 4) {
      const text = blockText(fd, size, Math.min(length, size));
      if (text === undefined) return undefined;
      const from = beginning(text, type, length >= size);
      if (from !== undefined) return linesOf<E>(text, from, type);
      if (length >= size) return undefined;
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function blockText(fd: number, size: number, length: number): string | undefined {
  if (length === 0) return undefined;
  const bytes = Buffer.allocUnsafe(length);
  if (readSync(fd, bytes, 0, length, size - length) !== length || !isAscii(bytes)) return undefined;
  const text = bytes.toString("latin1");
  // Both may name a member `__proto__`, which only the exact reader handles.
  return text.includes("__proto__") || text.includes("\\u00") || !text.endsWith("\n")
    ? undefined
    : text;
}

/**
 * Where the newest line of this type begins, or 0 if the whole file has none; undefined if more has
 * to be read.
 */
function beginning(text: string, type: string, whole: boolean): number | undefined {
  const mark = text.lastIndexOf(`"type":"${type}"`);
  const start = mark < 0 ? 0 : text.lastIndexOf("\n", mark) + 1;
  return start > 0 || whole ? start : undefined;
}

function linesOf<E>(text: string, from: number, type: string): Framed<E>[] | undefined {
  const lines: Framed<E>[] = [];
  let crc = 0;
  if (from > 0) {
    const before = text.slice(from - CRC_LENGTH - 1, from - 1);
    const digits = /^,"crc":"([0-9a-f]{8})"\}$/.exec(before)?.[1];
    if (digits === undefined) return undefined;
    crc = Number.parseInt(digits, 16);
  }
  let seq = 0;
  let batch = 0;
  for (let start = from; start < text.length;) {
    const end = text.indexOf("\n", start);
    crc = crc32(text.slice(start, end - CRC_LENGTH), crc);
    if (text.slice(end - CRC_LENGTH, end) !== `,"crc":"${crc.toString(16).padStart(8, "0")}"}`)
      return undefined;
    const line = parseObject(text.slice(start, end)) as
      | (Framed<E> & { readonly type?: unknown; readonly format?: unknown })
      | undefined;
    if (line === undefined || typeof line.at !== "string" || typeof line.type !== "string")
      return undefined;
    if (
      line.format !== undefined &&
      !(typeof line.format === "number" && line.format <= LEDGER_FORMAT)
    )
      return undefined;
    const first = start === from;
    if (
      first
        ? from === 0
          ? line.seq !== 1 || line.b !== 1
          : line.type !== type || !Number.isInteger(line.seq)
        : line.seq !== seq + 1
    )
      return undefined;
    if (!first && line.b !== line.seq && line.b !== batch) return undefined;
    seq = line.seq;
    batch = line.b;
    lines.push(line);
    start = end + 1;
  }
  return lines;
}
