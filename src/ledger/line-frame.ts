/**
 * Makes events into lines: `seq`, `b`, `at`, `type`, the event's own members, and last `crc`, a
 * chain from line to line.
 */
import { crc32 } from "node:zlib";
import type { Framed } from "../core/event.ts";
import { LineTooLong } from "./ledger-error.ts";
import type { LedgerMark } from "./ledger-reader.ts";
import { MAX_LINE_BYTES } from "./line-limit.ts";

/** Bytes for `"seq":…,"b":…,"at":"…",`, for `,"crc":"…"` and for the line feed. */
const FRAME_BYTES = 120;
/** The end of a line before its checksum is known. */
const UNSUMMED = ',"crc":"00000000"}\n';
const DIGITS = Buffer.from("0123456789abcdef");
const LINE_FEED = 10;

/**
 * Events, and the text of each without the framing: `{"type":…}`.
 *
 * @param shorten cuts an event that is too long for a line
 * @throws LineTooLong where an event stays too long
 */
export function bodiesOf<E extends { readonly type: string }>(
  path: string,
  given: readonly E[],
  shorten?: (event: E) => E,
): { readonly events: readonly E[]; readonly bodies: string[] } {
  let events = given;
  const bodies = given.map((one, index) => {
    let event = one;
    if (isFramed(event)) events = events.with(index, (event = unframed(event)));
    const body = bodyOf(event);
    if (tooLong(body) === undefined) return body;
    const short = shorten?.(event) ?? event;
    events = events.with(index, short);
    const shortBody = bodyOf(short);
    const bytes = tooLong(shortBody);
    if (bytes !== undefined) throw new LineTooLong(path, event.type, bytes);
    return shortBody;
  });
  return { events, bodies };
}

/** How long a line with this body would be, in bytes, where that is too long. */
function tooLong(body: string): number | undefined {
  // A character takes at most three bytes: short texts need no counting.
  if (body.length * 3 + FRAME_BYTES < MAX_LINE_BYTES) return undefined;
  const bytes = Buffer.byteLength(body) + FRAME_BYTES;
  return bytes < MAX_LINE_BYTES ? undefined : bytes;
}

function bodyOf(event: { readonly type: string }): string {
  const body = JSON.stringify(event);
  if (body.startsWith('{"type":')) return body;
  // The members of a line have a fixed order.
  const { type, ...rest } = event;
  return JSON.stringify({ type, ...rest });
}

/** The framing belongs to this file alone. */
function unframed<E extends { readonly type: string }>(event: E): E {
  const { seq: _seq, b: _b, at: _at, crc: _crc, ...rest } = event as Record<string, unknown>;
  return rest as unknown as E;
}

/**
 * Whether an event has members that belong to the framing. An event that was read from a ledger
 * has.
 */
function isFramed(event: object): boolean {
  return "seq" in event || "b" in event || "at" in event || "crc" in event;
}

/** Events that were appended together: what {@link bodiesOf} gave. */
export interface Group<E> {
  readonly events: readonly E[];
  readonly bodies: readonly string[];
  readonly at: string;
}

/** One write. */
export interface Frame<E> {
  readonly bytes: Buffer;
  readonly lines: Framed<E>[];
  /** The place after it. */
  readonly mark: LedgerMark;
  /** How many lines each group has. */
  readonly counts: number[];
}

/**
 * Makes groups of events into one write that begins at `from`. `more` sees its lines, and may add a
 * group.
 */
export function frame<E extends { readonly type: string }>(
  from: LedgerMark,
  groups: readonly Group<E>[],
  more?: (lines: readonly Framed<E>[]) => Omit<Group<E>, "at">,
): Frame<E> {
  const b = from.seq + 1;
  const lines: Framed<E>[] = [];
  const counts: number[] = [];
  let { seq } = from;
  let text = "";
  const add = ({ events, bodies, at }: Group<E>): void => {
    counts.push(events.length);
    // V8 keeps each text that is added until all of them are one: so they are few.
    const middle = `,"b":${b},"at":"${at}",`;
    for (let index = 0; index < events.length; index += 1) {
      seq += 1;
      text += `{"seq":${seq}${middle}${bodies[index]!.slice(1, -1)}${UNSUMMED}`;
      // The framing comes first: members that are added after a spread give each object a shape of
      // its own, which costs twenty times as much.
      lines.push({ seq, b, at, ...events[index]! });
    }
  };
  for (const group of groups) add(group);
  if (more !== undefined) add({ ...more(lines), at: groups.at(-1)!.at });
  const bytes = Buffer.from(text);
  const crc = sum(bytes, from.crc);
  return {
    bytes,
    lines,
    counts,
    mark: { offset: from.offset + bytes.length, seq, crc, batch: b, batchOffset: from.offset },
  };
}

/**
 * Writes its checksum into each line. Of texts a checksum would cost twice as much: each is made
 * into bytes for it alone.
 *
 * @param bytes lines that end with {@link UNSUMMED}
 * @param before the checksum of the line before them
 * @returns that of the last line
 */
function sum(bytes: Buffer, before: number): number {
  let crc = before;
  // JSON has no line feed within: it is `\n` there.
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = bytes.indexOf(LINE_FEED, start) + 1;
    crc = crc32(bytes.subarray(start, end - UNSUMMED.length), crc);
    let at = end - 4;
    for (let rest = crc, digits = 0; digits < 8; digits += 1, at -= 1, rest >>>= 4)
      bytes[at] = DIGITS[rest & 15]!;
  }
  return crc;
}
