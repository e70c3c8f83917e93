/**
 * The part of a run's log that the page holds.
 *
 * A log may have millions of lines. The window begins at the log's end (or at a line that the
 * address names) and grows to either side as it is read. Invariants: `lines` go up by their number,
 * and no line that fits the filter is missing between the first and the last of them.
 */

import type { NumberedLine, RunLogPage } from "../../../views/run-log.ts";

/** Which lines are wanted. An empty text is no filter. */
export interface LogFilter {
  readonly step: string;
  readonly stream: string;
  readonly q: string;
}

/** What the window holds. */
export interface LogLines {
  readonly lines: readonly NumberedLine[];
  /** The first line that was looked at: there may be some before it, unless it is 1. */
  readonly from: number;
  /** Whether there may be lines after the last one already. */
  readonly after: boolean;
  /** Where the next lines begin. */
  readonly next: number;
}

/** Reads one page of the log; undefined where it could not be read now. */
export type ReadLog = (query: Readonly<Record<string, string>>) => Promise<RunLogPage | undefined>;

/** How many lines are asked for at once. */
const PAGE = 500;
/** The most lines that are kept while the end is followed. */
const KEPT = 20_000;
/** How many requests one look back may take, where a filter finds few lines. */
const LOOKS = 8;

/** Reads the lines at the log's end, or around a line. */
export async function openLog(
  read: ReadLog,
  filter: LogFilter,
  line: number | undefined,
): Promise<LogLines | undefined> {
  const from = line === undefined ? -PAGE : Math.max(1, line - PAGE / 5);
  const page = await read(query(filter, from));
  if (page === undefined) return undefined;
  const { lines, next, more } = page;
  const opened = { lines, from: page.from, after: more, next };
  // Where a filter finds nothing near the end, it may further up.
  return lines.length === 0 ? olderLines(read, filter, opened) : opened;
}

/** The window with the lines after its last one. @param keepAll whether none may be let go */
export async function newerLines(
  read: ReadLog,
  filter: LogFilter,
  held: LogLines,
  keepAll: boolean,
): Promise<LogLines> {
  const page = await read(query(filter, held.next));
  if (page === undefined) return held;
  if (page.next === held.next) return held.after ? { ...held, after: false } : held;
  const all = [...held.lines, ...page.lines];
  const cut = keepAll ? 0 : Math.max(0, all.length - KEPT);
  const lines = cut === 0 ? all : all.slice(cut);
  return {
    lines,
    from: cut === 0 ? held.from : lines[0]!.n,
    after: page.more,
    next: page.next,
  };
}

/** The window with lines before its first one. A filter may take several looks. */
export async function olderLines(
  read: ReadLog,
  filter: LogFilter,
  held: LogLines,
): Promise<LogLines> {
  let until = held.from;
  for (let look = 1; look <= LOOKS && until > 1; look += 1) {
    const from = Math.max(1, until - PAGE * look);
    const found = await linesBetween(read, filter, from, until);
    if (found === undefined) return held;
    until = from;
    if (found.length > 0) return { ...held, lines: [...found, ...held.lines], from };
  }
  return { ...held, from: until };
}

async function linesBetween(
  read: ReadLog,
  filter: LogFilter,
  from: number,
  until: number,
): Promise<NumberedLine[] | undefined> {
  const found: NumberedLine[] = [];
  for (let next = from; next < until;) {
    const page = await read(query(filter, next));
    if (page === undefined) return undefined;
    found.push(...page.lines.filter(({ n }) => n < until));
    if (page.next <= next) break;
    next = page.next;
  }
  return found;
}

function query({ step, stream, q }: LogFilter, from: number): Record<string, string> {
  return {
    from: String(from),
    limit: String(PAGE),
    ...(step === "" ? {} : { step }),
    ...(stream === "" ? {} : { stream }),
    ...(q === "" ? {} : { q }),
  };
}
