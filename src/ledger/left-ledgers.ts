/**
 * The pipelines' ledgers as a daemon left them that ended well (`.orchd/left`). The next daemon
 * goes on with those that nobody has touched since: it reads none of their lines, and writes and
 * syncs nothing of them again. All of it was durable when that daemon acknowledged it.
 *
 * A ledger counts as left only where all of this holds:
 *
 * - The epoch before this daemon's is that of the daemon that wrote the file. So no run in the
 *   foreground, no program and no command has held the root since, and no daemon that was killed.
 * - Release and user are the same.
 * - The file has the inode, the length and the time of change that it had, and the last line that
 *   the daemon wrote. So has its folder. Nobody can set a time of change, and a copy, a backup, an
 *   editor and a rename give the file another one.
 * - Times of change are finer than a second, and the last one was {@link TICK_MS} before the
 *   file was looked at. Otherwise a change right after the look could have the same time.
 *
 * After a power cut a time of change may be an older one, so the ledger is read as before. Where
 * the file is missing, torn or of another kind, all ledgers are. It is derived.
 *
 * A line is `CRC NAME JSON`; the first has no name and says which daemon wrote it.
 *
 * Rejected: the end in the daemon's history alone (somebody may have put a ledger back since); a
 * checkpoint at the end of each ledger (a write and a sync of each at every end, and half the work
 * of a start stays).
 */
import { statSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { PipelineEvent } from "../core/event.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { readOwnText } from "../disk/own-file.ts";
import { VERSION } from "../version.ts";
import type { LedgerMark } from "./ledger-reader.ts";

/** The longest step of the clock that times of change are taken from, with room to spare. */
const TICK_MS = 50;
/** A longer line, and what is beyond this length of the file, is not kept. In UTF-16 code units. */
const MOST_LINE = 65_536;
const MOST_FILE = 16_777_216;
const CRC_END = 9;
/** How many lines are made in one turn of the event loop. */
const LINES_A_TURN = 50;

/** What a ledger says at its end, so that it can be gone on with unread. */
export interface LedgerEnd {
  readonly mark: LedgerMark;
  /** The time of its last line, ISO 8601. */
  readonly lastAt: string;
  /** How many lines follow its last checkpoint. */
  readonly linesSinceCheckpoint: number;
  /** The checkpoint of its state, which stands for all lines. */
  readonly checkpoint: Extract<PipelineEvent, { type: "pipeline.checkpoint" }>;
}

/** A ledger as it was left. */
export interface LeftLedger extends LedgerEnd {
  /** When it was looked at, after the daemon's last write: wall time, in milliseconds. */
  readonly at: number;
  /** Texts that differ once somebody has touched the file or its folder. */
  readonly file: string;
  readonly folder: string;
}

/** A ledger that is closed. */
export interface ClosedLedger {
  readonly pipeline: string;
  readonly path: string;
  readonly end: LedgerEnd;
}

/** Who holds the root. */
export interface LeftLedgersOwner {
  readonly epoch: number;
  /** The effective user. */
  readonly user: number | undefined;
}

/** The ledgers that the daemon before this one left, and those that this one leaves. */
export class LeftLedgers {
  readonly #path: string;
  readonly #owner: LeftLedgersOwner;
  #lines: ReadonlyMap<string, string> | undefined;

  /** @param path `.orchd/left` */
  constructor(path: string, owner: LeftLedgersOwner) {
    this.#path = path;
    this.#owner = owner;
  }

  /** How a pipeline's ledger was left. Undefined: that is not known. */
  of(pipeline: string): LeftLedger | undefined {
    this.#lines ??= this.#read();
    const line = this.#lines.get(pipeline);
    return line === undefined ? undefined : (valueIn(line) as LeftLedger | undefined);
  }

  /** All ledgers are open: nothing is given any more. */
  forget(): void {
    this.#lines = new Map();
  }

  /**
   * Writes how these ledgers are left: nobody writes them any more.
   *
   * @param now wall time, in milliseconds since 1970
   * @throws a Node error
   */
  async keep(closed: Iterable<ClosedLedger>, now: () => number): Promise<void> {
    const { epoch, user } = this.#owner;
    const lines = [lineOf("", { epoch, user, release: VERSION })];
    let length = 0;
    for (const { pipeline, path, end } of closed) {
      const left = leftAs(path, end, now());
      const line = left === undefined ? "" : lineOf(pipeline, left);
      if (line === "" || line.length > MOST_LINE || length + line.length > MOST_FILE) continue;
      length += line.length;
      if (lines.push(line) % LINES_A_TURN === 0) await nextTurn();
    }
    await writeFileAtomically(this.#path, lines.join(""), { mode: 0o640 });
  }

  #read(): ReadonlyMap<string, string> {
    const lines = new Map<string, string>();
    let text: string;
    try {
      if (statSync(this.#path).size > 2 * MOST_FILE) return lines;
      text = readOwnText(this.#path);
    } catch {
      // There is none, or this user may not read it.
      return lines;
    }
    for (const line of text.trimEnd().split("\n"))
      lines.set(line.slice(CRC_END, line.indexOf(" ", CRC_END)), line);
    const by = valueIn(lines.get("") ?? "") as Record<string, unknown> | undefined;
    const { epoch, user } = this.#owner;
    const isBefore =
      by?.["epoch"] === epoch - 1 && by["user"] === user && by["release"] === VERSION;
    lines.delete("");
    return isBefore ? lines : new Map();
  }
}

/** Whether a ledger and its folder are as they were left. */
export function isAsLeft(path: string, stats: Stats, left: LeftLedger): boolean {
  if (printOf(stats) !== left.file) return false;
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  return folder !== undefined && printOf(folder) === left.folder;
}

/** How a ledger is left; undefined where a later change might not show. */
function leftAs(path: string, end: LedgerEnd, at: number): LeftLedger | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  if (file === undefined || folder === undefined || file.size !== end.mark.offset) return undefined;
  for (const { ctimeMs } of [file, folder])
    if (ctimeMs % 1_000 === 0 || Math.abs(at - ctimeMs) < TICK_MS) return undefined;
  return { at, file: printOf(file), folder: printOf(folder), ...end };
}

function printOf({ ino, size, mode, uid, ctimeMs }: Stats): string {
  return `${ino} ${size} ${mode} ${uid} ${ctimeMs}`;
}

function lineOf(name: string, value: object): string {
  const body = `${name} ${JSON.stringify(value)}`;
  return `${crcOf(body)} ${body}\n`;
}

function valueIn(line: string): unknown {
  const body = line.slice(CRC_END);
  if (line.slice(0, CRC_END) !== `${crcOf(body)} `) return undefined;
  try {
    return JSON.parse(body.slice(body.indexOf(" ")));
  } catch {
    return undefined;
  }
}

function crcOf(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
