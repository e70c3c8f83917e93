/**
 * Reads the whole lines that stand in a ledger after a place. A line is whole if it ends in a line
 * feed, its checksum follows from the line before, and its `seq` is the next one. What is not whole
 * is left: it is still being written, or it is cut later, or it is damage, after which nothing can
 * be trusted.
 *
 * The text is not parsed as JSON: most readers pass it on as it is.
 */
import { isUtf8 } from "node:buffer";
import { crc32 } from "node:zlib";
import { parseObject } from "../core/json-object.ts";
import { readBytes } from "../disk/read-bytes.ts";
import { MAX_LINE_BYTES } from "../ledger/line-limit.ts";

const LF = 0x0a;
/** `,"crc":"9f0a11c2"}` */
const CRC_BYTES = 18;
const CRC_END = /^,"crc":"([0-9a-f]{8})"\}$/;
/** A line begins so: the framing has a fixed order. */
const HEAD = /^\{"seq":(\d{1,15}),"b":(\d{1,15}),"at":"([^"\\]{1,40})","type":"([^"\\]{0,100})"/;

/** A place between two lines of a file. */
export interface Place {
  /** The byte at which the next line begins. */
  readonly offset: number;
  /** The seq of the line before; 0 at the start. */
  readonly seq: number;
  /** The checksum of the line before; 0 at the start. */
  readonly crc: number;
}

/** The place before the first line of every ledger. */
export const START: Place = { offset: 0, seq: 0, crc: 0 };

/** A whole line, and the place after it. */
export interface WholeLine extends Place {
  readonly at: string;
  readonly type: string;
  /** Without its line feed. */
  readonly raw: string;
}

/**
 * Reads at most so many bytes of lines, and one line at least if there is one.
 *
 * @param size the length of the file
 */
export function readWholeLines(fd: number, from: Place, size: number, most: number): WholeLine[] {
  for (let length = most; ; length *= 4) {
    const bytes = readBytes(fd, from.offset, Math.min(length, size - from.offset));
    const lines = linesIn(bytes, from);
    // A line that is longer than the block: read more, if it can be a line at all.
    const isCut = lines.length === 0 && !bytes.includes(LF);
    if (!isCut || bytes.length < length || length >= MAX_LINE_BYTES) return lines;
  }
}

function linesIn(bytes: Buffer, from: Place): WholeLine[] {
  const lines: WholeLine[] = [];
  let { seq, crc } = from;
  for (let start = 0; ;) {
    const lf = bytes.indexOf(LF, start);
    if (lf < 0) return lines;
    const recorded = recordedCrc(bytes.subarray(start, lf));
    if (recorded === undefined || lf - start >= MAX_LINE_BYTES) return lines;
    const line = bytes.subarray(start, lf);
    if (crc32(line.subarray(0, line.length - CRC_BYTES), crc) !== recorded) return lines;
    if (!isUtf8(line)) return lines;
    const raw = line.toString("utf8");
    const head = headOf(raw);
    if (head?.seq !== seq + 1) return lines;
    seq = head.seq;
    crc = recorded;
    const { at, type } = head;
    lines.push({ offset: from.offset + lf + 1, seq, crc, at, type, raw });
    start = lf + 1;
  }
}

/** The checksum that a line ends in; undefined if it does not. */
export function recordedCrc(line: Buffer): number | undefined {
  if (line.length <= CRC_BYTES) return undefined;
  const digits = CRC_END.exec(line.toString("latin1", line.length - CRC_BYTES))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** What a line says of itself; undefined if it is no line of a ledger. */
export function headOf(
  raw: string,
): { readonly seq: number; readonly at: string; readonly type: string } | undefined {
  const [, seq, , at, type] = HEAD.exec(raw) ?? [];
  if (seq !== undefined) return { seq: Number(seq), at: at!, type: type! };
  const line = parseObject(raw);
  if (
    !Number.isInteger(line?.["seq"]) ||
    typeof line?.["at"] !== "string" ||
    typeof line["type"] !== "string"
  )
    return undefined;
  return { seq: line["seq"] as number, at: line["at"], type: line["type"] };
}
