/**
 * Puts events into lines: `seq`, `b`, `at`, `type`, the event's own members, and last `crc`,
 * chained from line to line.
 */
import { crc32 } from "node:zlib";
import type { Framed } from "../core/event.ts";
import { LineTooLong } from "./ledger-error.ts";
import type { LedgerMark } from "./ledger-reader.ts";
import { MAX_LINE_BYTES } from "./line-limit.ts";

/** Room for `"seq":…,"b":…,"at":"…",` and `,"crc":"…"` and the line feed. */
const FRAME_BYTES = 120;

/** Each event as text, without the framing: `{"type":…}`. @throws LineTooLong */
export function bodiesOf<E extends { readonly type: string }>(
  path: string,
  events: readonly E[],
): string[] {
  return events.map((event) => {
    const body = bodyOf(event);
    // A character is at most three bytes: short texts need no counting.
    if (body.length * 3 + FRAME_BYTES >= MAX_LINE_BYTES) {
      const bytes = Buffer.byteLength(body) + FRAME_BYTES;
      if (bytes >= MAX_LINE_BYTES) throw new LineTooLong(path, event.type, bytes);
    }
    return body;
  });
}

function bodyOf(event: { readonly type: string }): string {
  const body = isFramed(event) ? "" : JSON.stringify(event);
  if (body.startsWith('{"type":')) return body;
  // A line's members stand in a fixed order, and the framing is nobody else's.
  const { type, seq: _seq, b: _b, at: _at, crc: _crc, ...rest } = event as Record<string, unknown>;
  return JSON.stringify({ type, ...rest });
}

/**
 * Whether an event has members that only the framing may have, as one that was read from a ledger
 * does.
 */
function isFramed(event: object): boolean {
  return "seq" in event || "b" in event || "at" in event || "crc" in event;
}

/** Events that were given together. */
export interface Group<E> {
  readonly events: readonly E[];
  readonly bodies: readonly string[];
  readonly at: string;
}

/**
 * Turns groups of events into one write that goes on from `from`. `more` may add a group of its
 * own.
 */
export function frame<E extends { readonly type: string }>(
  from: LedgerMark,
  groups: readonly Group<E>[],
  more?: (lines: readonly Framed<E>[]) => Omit<Group<E>, "at">,
): { bytes: Buffer; lines: Framed<E>[]; mark: LedgerMark; counts: number[] } {
  const b = from.seq + 1;
  const lines: Framed<E>[] = [];
  const counts: number[] = [];
  let { seq, crc } = from;
  let text = "";
  const add = ({ events, bodies, at }: Group<E>): void => {
    counts.push(events.length);
    events.forEach((event, index) => {
      seq += 1;
      const line = `{"seq":${seq},"b":${b},"at":"${at}",${bodies[index]!.slice(1, -1)}`;
      crc = crc32(line, crc);
      text += `${line},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
      // The framing first: members added after a spread make an object of a shape of its own, at
      // twenty times the cost.
      lines.push(isFramed(event) ? { ...event, seq, b, at } : { seq, b, at, ...event });
    });
  };
  for (const group of groups) add(group);
  if (more !== undefined) add({ ...more(lines), at: groups.at(-1)!.at });
  const bytes = Buffer.from(text);
  return {
    bytes,
    lines,
    counts,
    mark: { offset: from.offset + bytes.length, seq, crc, batch: b, batchOffset: from.offset },
  };
}
