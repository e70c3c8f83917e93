/**
 * A position as a text, `FILE:SEQ;VECTOR`: the ledger and line that were given last, and all marks.
 * The text alone says where to go on: nothing is kept on a disk.
 *
 * VECTOR is base64url of these bytes. A number is LEB128 where its length is not given:
 *
 *     version 1 · scope: its kind, 4 bytes of its name's checksum · 6 bytes: the latest time, ms
 *     buckets: [gap << 4 | count] ... 0     gap: how many buckets further, at most 15
 *       each mark: 3 bytes of its key · seq · 3 bytes of its checksum
 *     runs: count · length · their ids, deflated, one a line
 *       each run: seq · 3 bytes of its checksum
 *     those that changed last: count
 *       each: 4 bytes of its key · ms before the latest time · count · 3 bytes a line before
 *     4 bytes: the checksum of all bytes before
 *
 * A thousand pipelines take 8.5 bytes each, which makes 11.4 kB of text at most. Rejected: names
 * instead of keys (20 bytes each); offsets instead of `seq` (a byte more); a position that names
 * only the newest line (ledgers have no common order).
 */
import { crc32, deflateRawSync, inflateRawSync } from "node:zlib";
import { iso } from "../core/time.ts";
import type { FeedScope } from "./feed-line.ts";
import { fileKey, FeedPosition, type Bucket, type Mark } from "./feed-position.ts";

const VERSION = 1;
/** The bytes of a position without a mark. */
const LEAST_BYTES = 19;
/** Of how many ledgers the lines before the last are told. */
const RECENT = 16;
const RECENT_BACK = 7;
/** No list of runs is longer, whatever a text claims. */
const MOST_BYTES = 16 * 1_048_576;

/** The text of a position. @param line the line that was given last */
export function positionText(
  position: FeedPosition,
  scope: FeedScope,
  line: { readonly file: string; readonly seq: number } | undefined,
): string {
  const bytes = new Bytes();
  bytes.push(VERSION);
  const [kind, name] = scopeOf(scope);
  bytes.push(kind);
  bytes.fixed(crc32(name), 4);
  bytes.fixed(msOf(position.at), 6);
  const runs = writeFiles(bytes, position.buckets, scope);
  writeRuns(bytes, runs);
  writeRecent(bytes, position, scope);
  const body = bytes.buffer();
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  const vector = Buffer.concat([body, check]).toString("base64url");
  return `${line === undefined ? ":0" : `${line.file}:${line.seq}`};${vector}`;
}

/**
 * Reads a position.
 *
 * @param scope the ledgers that are wanted
 * @throws TypeError where it is none, or where it is one of fewer ledgers than are wanted
 */
export function parsePosition(text: string, scope: FeedScope): FeedPosition {
  if (text === "start") return FeedPosition.start;
  const read = text.startsWith("[") ? parsedOld(text) : parsedVector(text);
  if (read === undefined) {
    throw new TypeError(
      `${JSON.stringify(text.slice(0, 80))} is no position in the ledgers; ` +
        "give the text that follow() gave as its position.",
    );
  }
  const [kind, name] = scopeOf(scope);
  const known = read.scope;
  if (known === undefined || (known.kind === kind && known.check === crc32(name)))
    return read.position;
  const isRunOfIt = known.kind === 1 && known.check === crc32(name.slice(0, name.indexOf("@")));
  if (kind === 2 && isRunOfIt) return read.position;
  throw new TypeError(
    `the position ${JSON.stringify(text.slice(0, text.indexOf(";")).slice(0, 80))} is one of ` +
      "other ledgers: it was given for one pipeline or run alone; follow that one from there, " +
      "or give a position of all ledgers.",
  );
}

interface Read {
  readonly position: FeedPosition;
  /** Undefined: of all ledgers. */
  readonly scope: { readonly kind: number; readonly check: number } | undefined;
}

function scopeOf({ pipeline, run }: FeedScope): readonly [kind: number, name: string] {
  if (run !== undefined) return [2, run];
  return pipeline === undefined ? [0, ""] : [1, pipeline];
}

/** Whether a scope has a ledger. A mark whose pipeline is not known was read from its own text. */
function isOf(scope: FeedScope, { pipeline, run }: Mark): boolean {
  if (scope.run !== undefined) return run === scope.run;
  return scope.pipeline === undefined || pipeline === undefined || pipeline === scope.pipeline;
}

/** Writes the marks of pipelines' files. @returns those of runs */
function writeFiles(bytes: Bytes, buckets: readonly Bucket[], scope: FeedScope): Mark[] {
  const isAll = scope.pipeline === undefined && scope.run === undefined;
  const runs: Mark[] = [];
  let last = 0;
  for (const [index, bucket] of buckets.entries()) {
    if (bucket.marks.length === 0) continue;
    const files: Mark[] = [];
    for (const mark of bucket.marks)
      if (isOf(scope, mark)) (mark.run === undefined ? files : runs).push(mark);
    if (files.length === 0) continue;
    // Whole buckets are shared between positions, and so are their bytes.
    const own = isAll ? (bucket.bytes ??= marksBytes(files)) : marksBytes(files);
    writeBucket(bytes, index - last, files.length, own);
    last = index;
  }
  bytes.push(0);
  return runs;
}

/** One head for up to 15 marks: the marks of a fuller bucket stand in several groups. */
function writeBucket(bytes: Bytes, distance: number, count: number, own: Buffer): void {
  let gap = distance;
  while (gap > 15) {
    bytes.push(0xf0);
    gap -= 15;
  }
  if (count <= 15) {
    bytes.push((gap << 4) | count);
    bytes.all(own);
    return;
  }
  let at = 0;
  for (let left = count; left > 0; left -= 15) {
    const group = Math.min(15, left);
    bytes.push((gap << 4) | group);
    gap = 0;
    const from = at;
    for (let mark = 0; mark < group; mark += 1) {
      at += 3;
      while (own[at]! >= 0x80) at += 1;
      at += 4;
    }
    bytes.all(own.subarray(from, at));
  }
}

function marksBytes(marks: readonly Mark[]): Buffer {
  const bytes = new Bytes();
  for (const { key, seq, crc } of marks) {
    bytes.fixed(key & 0xff_ffff, 3);
    bytes.varint(seq);
    bytes.fixed(crc ?? 0, 3);
  }
  return bytes.buffer();
}

function writeRuns(bytes: Bytes, runs: readonly Mark[]): void {
  const sorted = runs.toSorted((a, b) => (a.run! < b.run! ? -1 : 1));
  bytes.varint(sorted.length);
  if (sorted.length === 0) return;
  const ids = deflateRawSync(sorted.map(({ run }) => run).join("\n"));
  bytes.varint(ids.length);
  bytes.all(ids);
  for (const { seq, crc } of sorted) {
    bytes.varint(seq);
    bytes.fixed(crc ?? 0, 3);
  }
}

function writeRecent(bytes: Bytes, position: FeedPosition, scope: FeedScope): void {
  const recent: Mark[] = [];
  for (const mark of position.marks()) {
    if (!isOf(scope, mark)) continue;
    const place = recent.findIndex((one) => isLater(mark, one));
    if (place < 0 && recent.length >= RECENT) continue;
    recent.splice(place < 0 ? recent.length : place, 0, mark);
    if (recent.length > RECENT) recent.pop();
  }
  bytes.varint(recent.length);
  const all = msOf(position.at);
  for (const { key, at, back } of recent) {
    bytes.fixed(key, 4);
    bytes.varint(Math.max(0, all - msOf(at)));
    const told = back.slice(0, RECENT_BACK);
    bytes.varint(told.length);
    for (const crc of told) bytes.fixed(crc, 3);
  }
}

/** Whether a ledger changed later than another. */
function isLater(a: Mark, b: Mark): boolean {
  return a.turn === b.turn ? a.at > b.at : a.turn > b.turn;
}

function msOf(at: string): number {
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

function parsedVector(text: string): Read | undefined {
  const semicolon = text.lastIndexOf(";");
  const whole = Buffer.from(text.slice(semicolon + 1), "base64url");
  if (semicolon < 0 || whole.length < LEAST_BYTES) return undefined;
  const body = whole.subarray(0, -4);
  if (whole.readUInt32BE(body.length) !== crc32(body)) return undefined;
  try {
    return readBody(new Reading(body));
  } catch {
    // The checksum is right, and it says something else than this release would.
    return undefined;
  }
}

function readBody(bytes: Reading): Read | undefined {
  if (bytes.fixed(1) !== VERSION) return undefined;
  const kind = bytes.fixed(1);
  const check = bytes.fixed(4);
  const ms = bytes.fixed(6);
  const at = ms === 0 ? "" : iso(ms);
  const marks: Mark[] = [];
  for (let bucket = 0; ;) {
    const head = bytes.fixed(1);
    if (head === 0) break;
    bucket += head >> 4;
    for (let left = head & 15; left > 0; left -= 1) {
      const key = ((bucket << 24) | bytes.fixed(3)) >>> 0;
      marks.push({ key, seq: bytes.varint(), crc: bytes.fixed(3), back: [], at, turn: 0 });
    }
  }
  const count = bytes.varint();
  if (count > 0) {
    const options = { maxOutputLength: MOST_BYTES };
    const ids = inflateRawSync(bytes.take(bytes.varint()), options).toString().split("\n");
    for (const run of ids) {
      const pipeline = run.slice(0, run.indexOf("@"));
      const [seq, crc] = [bytes.varint(), bytes.fixed(3)];
      marks.push({ key: crc32(run), pipeline, run, seq, crc, back: [], at, turn: 0 });
    }
  }
  const byKey = new Map(marks.map((mark, index) => [mark.key, index]));
  const recent = bytes.varint();
  for (let nth = 0; nth < recent; nth += 1) {
    const index = byKey.get(bytes.fixed(4));
    const own = iso(Math.max(0, ms - bytes.varint()));
    const back = Array.from({ length: bytes.varint() }, () => bytes.fixed(3));
    if (index !== undefined) marks[index] = { ...marks[index]!, back, at: own, turn: recent - nth };
  }
  let position = FeedPosition.start.withAt(at, recent);
  for (const mark of marks) position = position.with(mark);
  return { position, scope: kind === 0 ? undefined : { kind, check } };
}

/** A text that an earlier release gave: JSON, with the names of pipelines. */
function parsedOld(text: string): Read | undefined {
  try {
    const [pipelines, runs] = JSON.parse(text) as [
      Record<string, [string, number, string]>,
      Record<string, number>,
    ];
    let position = FeedPosition.start;
    for (const [pipeline, [first, seq, at]] of Object.entries(pipelines)) {
      if (!isCount(seq) || typeof at !== "string") return undefined;
      const key = fileKey(pipeline, Number.parseInt(first, 16));
      position = position
        .with({ key, pipeline, seq, crc: undefined, back: [], at, turn: 0 })
        .withAt(at > position.at ? at : position.at);
    }
    for (const [run, seq] of Object.entries(runs)) {
      if (!isCount(seq)) return undefined;
      const pipeline = run.slice(0, run.indexOf("@"));
      const crc = seq === 0 ? 0 : undefined;
      const { at } = position;
      position = position.with({ key: crc32(run), pipeline, run, seq, crc, back: [], at, turn: 0 });
    }
    return { position, scope: undefined };
  } catch {
    return undefined;
  }
}

const isCount = (seq: unknown): boolean => Number.isSafeInteger(seq) && (seq as number) >= 0;

/** Bytes that are being written. */
class Bytes {
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  push(byte: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = byte;
  }

  /** A number of so many bytes, the highest first. */
  fixed(value: number, length: number): void {
    this.#room(length);
    this.#buffer.writeUIntBE(value, this.#length, length);
    this.#length += length;
  }

  varint(value: number): void {
    let left = value;
    while (left >= 0x80) {
      this.push((left % 0x80) + 0x80);
      left = Math.floor(left / 0x80);
    }
    this.push(left);
  }

  all(bytes: Buffer): void {
    this.#room(bytes.length);
    bytes.copy(this.#buffer, this.#length);
    this.#length += bytes.length;
  }

  buffer(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #room(length: number): void {
    if (this.#length + length <= this.#buffer.length) return;
    const more = Buffer.allocUnsafe(2 * (this.#length + length));
    this.#buffer.copy(more, 0, 0, this.#length);
    this.#buffer = more;
  }
}

/** Bytes that are being read. @throws RangeError at their end */
class Reading {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  fixed(length: number): number {
    return this.take(length).readUIntBE(0, length);
  }

  varint(): number {
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.fixed(1);
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
      if (unit > Number.MAX_SAFE_INTEGER / 0x80) throw new RangeError("the number is too big");
    }
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("the bytes end early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}
