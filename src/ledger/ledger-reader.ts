/**
 * Reads ledgers: the framing of docs/ledger.md. It does not judge what the events say.
 *
 * A ledger is good up to its first bad line. The rest, from that line on, is one of two things
 * (semantics.md 28). It is a torn tail if it can have come from the last write, which was never
 * acknowledged: then no readable line in it began a later write. Otherwise acknowledged lines are
 * lost, and that is damage. A reader never skips a bad line and never repairs.
 *
 * The file is read in blocks, so a line of a gigabyte costs no more memory than one of 1 MiB. Each
 * line is parsed straight from its bytes. There is no zod here: `orchd status` reads ledgers, and
 * has 70 ms in all.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { Framed } from "../core/event.ts";
import { isObject, parseObject } from "../core/json-object.ts";
import { LEDGER_FORMAT } from "../core/ledger-format.ts";
import { PathFault } from "../disk/path-fault.ts";
import { LedgerFormatError } from "./ledger-error.ts";
import { MAX_LINE_BYTES } from "./line-limit.ts";
import { LinesBackwards } from "./lines-backwards.ts";

const BLOCK_BYTES = 2 * MAX_LINE_BYTES;
/**
 * How many bytes are read in one turn of the event loop, where others must not wait. A line may
 * name a megabyte that its reader looks at.
 */
const TURN_BYTES = 16_384;
const LF = 0x0a;
/** A pipe that has the name of a ledger must not block the reader. */
const READING = constants.O_RDONLY | constants.O_NONBLOCK;
const CRC_MARK = Buffer.from(',"crc":"');
/** `,"crc":"9f0a11c2"}` */
const CRC_BYTES = CRC_MARK.length + 10;
/** A text that names a member `__proto__` holds one of these, escapes included. */
const PROTOTYPE_NAMES = ["__proto__", "\\u00"];

/** What is wrong, and in which line, counted from 1. */
export interface LedgerFault {
  readonly line: number;
  readonly fault: string;
}

/** A place between two lines, from which reading and writing can go on. */
export interface LedgerMark {
  /** The byte at which the next line begins. */
  readonly offset: number;
  /** The seq of the line before; 0 at the start. */
  readonly seq: number;
  /** The checksum of the line before; 0 at the start. */
  readonly crc: number;
  /** The `b` of the line before, and the byte at which that write began. */
  readonly batch: number;
  readonly batchOffset: number;
}

/** The mark before the first line of every ledger. */
export const LEDGER_START: LedgerMark = { offset: 0, seq: 0, crc: 0, batch: 0, batchOffset: 0 };

/** What a ledger holds. */
export interface LedgerReading<E> {
  readonly lines: Framed<E>[];
  /**
   * `whole`: every byte belongs to a good line; `torn`: the last write is incomplete; `damaged`:
   * acknowledged lines are bad.
   */
  readonly end: "whole" | "torn" | "damaged";
  /** The length of the good lines, in bytes. */
  readonly validBytes: number;
  /** The length of the file when it was read, in bytes. */
  readonly size: number;
  /** The end of the good lines, to go on from. */
  readonly mark: LedgerMark;
  /** Present unless `end` is `whole`. */
  readonly fault?: LedgerFault;
}

/** How to read a ledger. */
export interface ReadOptions<E> {
  /** Where to begin; default: at the start. */
  readonly from?: LedgerMark | undefined;
  /**
   * Called with each line; the answer's `lines` then stay empty. If it returns false, the reading
   * ends there, as if the file ended.
   */
  readonly each?: ((line: Framed<E>) => void | false) | undefined;
  /** The newest format that is understood; default {@link LEDGER_FORMAT}. */
  readonly format?: number | undefined;
}

/**
 * Reads a ledger, whole or from a mark on.
 *
 * @throws LedgerFormatError if its header has a newer format; a Node error if the file cannot be
 *   read
 */
export function readLedger<E>(path: string, options: ReadOptions<E> = {}): LedgerReading<E> {
  const fd = openSync(path, READING);
  try {
    return scanFile(fd, path, options);
  } finally {
    closeSync(fd);
  }
}

/**
 * As {@link readLedger}, a part in each turn of the event loop: the ledger of a run of thousands of
 * steps takes long.
 */
export async function readLedgerInTurns<E>(
  path: string,
  options: ReadOptions<E> = {},
): Promise<LedgerReading<E>> {
  const fd = openSync(path, READING);
  try {
    const blocks = scanBlocks(fd, path, options, TURN_BYTES);
    for (;;) {
      const next = blocks.next();
      if (next.done === true) return next.value;
      await nextTurn();
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads a ledger from memory; messages name it `path`. @throws LedgerFormatError */
export function parseLedger<E>(
  bytes: Buffer,
  path = "ledger",
  options: ReadOptions<E> = {},
): LedgerReading<E> {
  const scan = new Scan<E>(path, options);
  const rest = scan.block(bytes, options.from?.offset ?? 0, bytes.length);
  return scan.finish(bytes.length, bytes.length - rest);
}

function scanFile<E>(fd: number, path: string, options: ReadOptions<E>): LedgerReading<E> {
  const blocks = scanBlocks(fd, path, options, BLOCK_BYTES);
  for (;;) {
    const next = blocks.next();
    if (next.done === true) return next.value;
  }
}

/** Reads a file; gives the word after each block of at most `most` bytes. */
function* scanBlocks<E>(
  fd: number,
  path: string,
  options: ReadOptions<E>,
  most: number,
): Generator<void, LedgerReading<E>> {
  const scan = new Scan<E>(path, options);
  const stats = fstatSync(fd);
  if (!stats.isFile()) throw new PathFault(path, stats.isDirectory() ? "EISDIR" : "EFTYPE");
  const { size } = stats;
  let position = options.from?.offset ?? 0;
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(BLOCK_BYTES, size - position)));
  let kept = 0;
  // Lines that are written meanwhile are left for the next reading.
  for (;;) {
    const read =
      position < size
        ? readSync(
            fd,
            buffer,
            kept,
            Math.min(buffer.length - kept, size - position, most),
            position,
          )
        : 0;
    if (read === 0 || scan.ended) return scan.finish(size, kept);
    position += read;
    const filled = kept + read;
    const rest = scan.block(buffer, 0, filled);
    kept = filled - rest;
    if (kept >= MAX_LINE_BYTES) {
      scan.tooLong();
      kept = 0;
    } else {
      buffer.copyWithin(0, rest, filled);
    }
    if (position < size) yield;
  }
}

/** Goes over a ledger's bytes, block by block. */
class Scan<E> {
  readonly #path: string;
  readonly #format: number;
  readonly #each: ReadOptions<E>["each"];
  readonly #lines: Framed<E>[] = [];
  #offset: number;
  #seq: number;
  #crc: number;
  #batch: number;
  #batchOffset: number;
  #fault: LedgerFault | undefined;
  #first = true;
  #damaged = false;
  /** The kind of all text in this block, so that no line has to be checked alone. */
  #text: TextKind = "any";
  /** Inside a line that is too long: everything up to the next line feed is skipped. */
  #skipping = false;
  /** Nothing that follows can change the answer. */
  ended = false;

  constructor(path: string, options: ReadOptions<E>) {
    const from = options.from ?? LEDGER_START;
    this.#path = path;
    this.#format = options.format ?? LEDGER_FORMAT;
    this.#each = options.each;
    this.#offset = from.offset;
    this.#seq = from.seq;
    this.#crc = from.crc;
    this.#batch = from.batch;
    this.#batchOffset = from.batchOffset;
  }

  /** Takes the whole lines in `bytes` from `start` to `end`; gives where the rest begins. */
  block(bytes: Buffer, start: number, end: number): number {
    this.#text = textKindOf(bytes.subarray(start, bytes.lastIndexOf(LF, end - 1) + 1));
    let at = start;
    while (!this.ended) {
      const lf = bytes.indexOf(LF, at);
      if (lf < 0 || lf >= end) break;
      if (this.#skipping) this.#skipping = false;
      else if (this.#fault === undefined) this.#line(bytes, at, lf);
      else this.#after(bytes, at, lf);
      at = lf + 1;
    }
    return at;
  }

  /** The line that has begun is longer than a line may be. */
  tooLong(): void {
    this.#skipping = true;
    this.#bad("it is longer than 1 MiB");
  }

  /** @param rest bytes after the last line feed */
  finish(size: number, rest: number): LedgerReading<E> {
    if (!this.ended && (rest > 0 || this.#skipping)) this.#bad("it ends without a line feed");
    const mark = {
      offset: this.#offset,
      seq: this.#seq,
      crc: this.#crc,
      batch: this.#batch,
      batchOffset: this.#batchOffset,
    };
    const end = this.#fault === undefined ? "whole" : this.#damaged ? "damaged" : "torn";
    const reading = { lines: this.#lines, end, validBytes: this.#offset, size, mark } as const;
    return this.#fault === undefined ? reading : { ...reading, fault: this.#fault };
  }

  #bad(fault: string): void {
    this.#fault ??= { line: this.#seq + 1, fault };
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const crcAt = end - CRC_BYTES;
    const recorded = end + 1 - start >= MAX_LINE_BYTES ? -1 : recordedCrc(bytes, start, end);
    if (recorded < 0) {
      this.#bad(
        end + 1 - start >= MAX_LINE_BYTES
          ? "it is longer than 1 MiB"
          : "it does not end in a checksum",
      );
      return this.#after(bytes, start, end);
    }
    if (crc32(bytes.subarray(start, crcAt), this.#crc) !== recorded) {
      this.#bad("its checksum does not match");
      return this.#after(bytes, start, end);
    }
    const line =
      this.#text === "any"
        ? parseLine(bytes, start, end)
        : parseKnown(bytes, start, end, this.#text);
    const fault = line === undefined ? "it is not JSON in UTF-8" : this.#frameFault(line);
    if (fault !== undefined) {
      this.#bad(fault);
      return this.#after(bytes, start, end);
    }
    const { seq, b } = line as unknown as Framed<object>;
    // Line 1 carries the format. So does each checkpoint, where the reading of a pipeline's ledger
    // begins.
    if (this.#first) this.#checkFormat((line as { format?: unknown }).format);
    this.#first = false;
    if (b !== this.#batch) {
      this.#batch = b;
      this.#batchOffset = this.#offset;
    }
    if (this.#each === undefined) this.#lines.push(line as Framed<E>);
    else if (this.#each(line as Framed<E>) === false) {
      this.ended = true;
      return;
    }
    this.#seq = seq;
    this.#crc = recorded;
    this.#offset += end + 1 - start;
  }

  #frameFault(line: Record<string, unknown>): string | undefined {
    const due = this.#seq + 1;
    if (line["seq"] !== due) return `its seq is ${JSON.stringify(line["seq"])} where ${due} is due`;
    if (line["b"] !== due && (line["b"] !== this.#batch || this.#batch === 0))
      return `its b is ${JSON.stringify(line["b"])}, which is no write's first line`;
    if (typeof line["at"] !== "string" || typeof line["type"] !== "string")
      return "it has no time or no type";
    return undefined;
  }

  #checkFormat(format: unknown): void {
    if (format === undefined || (typeof format === "number" && format <= this.#format)) return;
    throw new LedgerFormatError(this.#path, format, this.#format);
  }

  /**
   * Looks at a line from the first bad one on: does it show that a later write was acknowledged?
   */
  #after(bytes: Buffer, start: number, end: number): void {
    if (end + 1 - start >= MAX_LINE_BYTES) return;
    const line = parseLine(bytes, start, end);
    const bad = this.#fault!.line;
    if (line === undefined || typeof line["b"] !== "number" || !(line["b"] > bad)) return;
    // The bad line itself counts only if it is quite another line. If only its own digits are
    // wrong, it proves nothing.
    if (line["seq"] === bad) return;
    this.#damaged = true;
    this.ended = true;
  }
}

/** The checksum at the end of a line, or -1. */
function recordedCrc(bytes: Buffer, start: number, end: number): number {
  const at = end - CRC_BYTES;
  if (at <= start || bytes[end - 1] !== 0x7d || bytes[end - 2] !== 0x22) return -1;
  for (let index = 0; index < CRC_MARK.length; index += 1)
    if (bytes[at + index] !== CRC_MARK[index]) return -1;
  let value = 0;
  for (let index = end - 10; index < end - 2; index += 1) {
    const byte = bytes[index]!;
    const digit =
      byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/**
 * `ascii` and `utf8`: text that names no member `__proto__`, all bytes below 128 or in UTF-8.
 * `any`: text of which nothing is known.
 */
type TextKind = "ascii" | "utf8" | "any";

function textKindOf(block: Buffer): TextKind {
  if (PROTOTYPE_NAMES.some((name) => block.includes(name))) return "any";
  if (isAscii(block)) return "ascii";
  return isUtf8(block) ? "utf8" : "any";
}

/** As {@link parseLine}, and faster, for text of a known kind. */
function parseKnown(
  bytes: Buffer,
  start: number,
  end: number,
  kind: "ascii" | "utf8",
): Record<string, unknown> | undefined {
  return parseObject(bytes.toString(kind === "ascii" ? "latin1" : "utf8", start, end));
}

/** The object of a line, or undefined if the line is not a JSON object in UTF-8. */
function parseLine(bytes: Buffer, start: number, end: number): Record<string, unknown> | undefined {
  const line = bytes.subarray(start, end);
  if (!isUtf8(line)) return undefined;
  try {
    return parseSafely(bytes.toString("utf8", start, end));
  } catch {
    return undefined;
  }
}

/**
 * Whether a text may name a member `__proto__`, escapes included. A regular expression would be
 * more exact, but takes longer than the parsing.
 */
function mayNamePrototype(text: string): boolean {
  return PROTOTYPE_NAMES.some((name) => text.includes(name));
}

/**
 * Parses a JSON object so that no member can become its prototype. Undefined if the text is not an
 * object. @throws SyntaxError
 */
function parseSafely(text: string): Record<string, unknown> | undefined {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) return undefined;
  return (mayNamePrototype(text) ? withoutPrototypes(value) : value) as Record<string, unknown>;
}

/**
 * The same value, made of objects without prototypes. In those objects `__proto__` is a name like
 * any other, however they are copied.
 */
function withoutPrototypes(root: object): object {
  const copy = (value: object): object =>
    Array.isArray(value) ? [] : (Object.create(null) as object);
  const result = copy(root);
  const left: [from: object, to: object][] = [[root, result]];
  for (let pair = left.pop(); pair !== undefined; pair = left.pop()) {
    const [from, to] = pair;
    for (const [name, value] of Object.entries(from) as [string, unknown][]) {
      const nested = value !== null && typeof value === "object" ? copy(value) : value;
      (to as Record<string, unknown>)[name] = nested;
      if (nested !== value) left.push([value as object, nested as object]);
    }
  }
  return result;
}

/**
 * Reads the end of a ledger: from the newest line that `found` names (an event's type, or a test of
 * a line) to the last line. Without a line that it names, reads the whole ledger. The reading
 * begins with a whole write and is checked like any other. Earlier lines are not looked at.
 *
 * @throws LedgerFormatError if the header was among what was read and has a newer format; a Node
 *   error if the file cannot be read
 */
export function readTail<E>(
  path: string,
  found: string | ((line: Framed<E>) => boolean),
  options: Pick<ReadOptions<E>, "each" | "format"> = {},
): LedgerReading<E> {
  const fd = openSync(path, READING);
  try {
    const back = new LinesBackwards(fd);
    const wanted =
      typeof found === "string"
        ? (line: Framed<E>) => (line as { type?: unknown }).type === found
        : found;
    const needle =
      typeof found === "string" ? Buffer.from(`"type":${JSON.stringify(found)}`) : undefined;
    for (;;) {
      const from = markBefore<E>(back, wanted, needle);
      const reading = scanFile<E>(fd, path, { ...options, from });
      // The line that was found may itself be bad: then look for an earlier one.
      if (from.offset === 0 || reading.mark.seq > from.seq) return reading;
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * The mark before the write that holds the newest wanted line; the start of the ledger if there is
 * no such line.
 */
function markBefore<E>(
  back: LinesBackwards,
  wanted: (line: Framed<E>) => boolean,
  needle: Buffer | undefined,
): LedgerMark {
  let first: number | undefined;
  for (
    let line = back.previous(first === undefined ? needle : undefined);
    line !== undefined;
    line = back.previous(first === undefined ? needle : undefined)
  ) {
    const parsed = parseLine(line, 0, line.length) as unknown as Framed<E> | undefined;
    if (parsed === undefined || !Number.isInteger(parsed.seq) || !Number.isInteger(parsed.b)) {
      first = undefined;
      continue;
    }
    if (first === undefined) {
      if (!wanted(parsed)) continue;
      first = parsed.b;
    }
    if (parsed.seq > first) continue;
    const before = back.peek();
    const crc = before === undefined ? -1 : recordedCrc(before, 0, before.length);
    if (crc >= 0 && parsed.seq > 1)
      return { offset: back.offset, seq: parsed.seq - 1, crc, batch: 0, batchOffset: back.offset };
    first = undefined;
  }
  return LEDGER_START;
}
