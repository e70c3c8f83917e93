/**
 * A second reader of the ledger format, plain on purpose and written from docs/ledger.md alone. It
 * shares no code with src/ledger, so the two can disagree. It reads a whole ledger and returns its
 * lines, or throws an error that says what is wrong.
 */
import { readFileSync } from "node:fs";

/** What each byte does to a CRC-32 (IEEE), bit by bit. */
const OF_BYTE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

/** CRC-32 (IEEE), byte by byte, continued from `seed`. */
export function plainCrc32(bytes: Uint8Array, seed: number): number {
  let crc = ~seed;
  for (const byte of bytes) crc = (crc >>> 8) ^ OF_BYTE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

export interface PlainLine {
  readonly seq: number;
  readonly b: number;
  readonly at: string;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Every line of a ledger, which must be whole to its last byte. @param bytes what it holds */
export function readWholeLedger(path: string, bytes: Buffer = readFileSync(path)): PlainLine[] {
  if (bytes.length === 0) throw new Error(`${path} is empty`);
  if (bytes.at(-1) !== 0x0a) throw new Error(`${path} does not end in LF`);
  const lines: PlainLine[] = [];
  let crc = 0;
  let start = 0;
  let at = "";
  while (start < bytes.length) {
    const end = bytes.indexOf(0x0a, start);
    const raw = bytes.subarray(start, end);
    const where = `${path}:${lines.length + 1}`;
    if (raw.length >= 1 << 20) throw new Error(`${where} is a MiB or longer`);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(raw);
    const line = JSON.parse(text) as PlainLine & { crc: string };
    const mark = raw.lastIndexOf(',"crc":');
    if (mark < 0) throw new Error(`${where} has no crc`);
    crc = plainCrc32(raw.subarray(0, mark), crc);
    const stated = text.slice(text.lastIndexOf(',"crc":'));
    if (stated !== `,"crc":"${crc.toString(16).padStart(8, "0")}"}`)
      throw new Error(`${where} says ${stated}, the bytes say ${crc.toString(16)}`);
    if (line.seq !== lines.length + 1) throw new Error(`${where} has seq ${line.seq}`);
    const before = lines.at(-1);
    if (line.b !== line.seq && line.b !== before?.b)
      throw new Error(`${where} has b ${line.b}, which begins no write`);
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(line.at))
      throw new Error(`${where} has at ${line.at}`);
    at = line.at;
    lines.push(line);
    start = end + 1;
  }
  if (at === "") throw new Error(`${path} has no line`);
  return lines;
}

/** How many lines are good from the beginning of a ledger, by their checksums alone. */
export function goodLines(path: string): number {
  const bytes = readFileSync(path);
  let crc = 0;
  let count = 0;
  for (let start = 0; ; count += 1) {
    const end = bytes.indexOf(0x0a, start);
    const mark = end < 0 ? -1 : bytes.subarray(start, end).lastIndexOf(',"crc":');
    if (mark < 0) return count;
    crc = plainCrc32(bytes.subarray(start, start + mark), crc);
    if (
      bytes.toString("latin1", start + mark, end) !==
      `,"crc":"${crc.toString(16).padStart(8, "0")}"}`
    )
      return count;
    start = end + 1;
  }
}
