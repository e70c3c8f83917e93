/**
 * Finds where to go on in a ledger of which some lines were given.
 *
 * In the ordinary case the line that was given last is there, with its checksum: the next line
 * begins after it. Otherwise the ledger was cut behind that line, and maybe written again since.
 * Then the last line that was given and still stands is looked for, by what is known, in this
 * order:
 *
 * 1. Checksums of lines that were given. Each follows from all lines before it: the newest line
 *    that has its checksum is the one.
 * 2. The copy that a repair leaves beside the ledger: it has the line that was given last. What it
 *    and the ledger have in common was given.
 * 3. The time: lines that are later than the lines that were given were written since.
 *
 * Lines are walked from the end, so that an answer costs as much as there is new.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errorCode } from "../disk/disk-error.ts";
import { readBytes } from "../disk/read-bytes.ts";
import { damagedNamesOf } from "../ledger/damaged-name.ts";
import { MAX_LINE_BYTES } from "../ledger/line-limit.ts";
import { LinesBackwards } from "../ledger/lines-backwards.ts";
import { markCrc } from "./feed-position.ts";
import { headOf, recordedCrc, START, type Place, type WholeLine } from "./whole-lines.ts";

/** A pipe that has the name of a ledger must not block the reader. */
export const READING = constants.O_RDONLY | constants.O_NONBLOCK;
const LF = 0x0a;
const FIRST_BYTES = 4_096;
const COMPARED_BYTES = 65_536;

/** What is known of the lines that were given. */
export interface GivenLines {
  /** The seq of the last one. */
  readonly seq: number;
  /** 24 bits of a line's checksum; undefined: not known. */
  readonly crcOf: (seq: number) => number | undefined;
  /** The latest time of the lines that were given, or a later one; ISO 8601. */
  readonly at: string;
  /** A position of an earlier release knows no checksum: its line is taken as it stands. */
  readonly isUnchecked?: boolean | undefined;
}

/** A place, and whether lines that were given do not stand before it any more. */
export interface FoundPlace {
  readonly place: Place;
  readonly isCut: boolean;
}

/** Where to go on in an open ledger. @param path its path, beside which a copy may stand */
export function findPlace(fd: number, path: string, given: GivenLines): FoundPlace {
  if (given.seq === 0) return { place: START, isCut: false };
  for (const place of linesBackwards(fd)) {
    if (place.seq > given.seq) continue;
    const crc = given.crcOf(place.seq);
    if (given.isUnchecked === true && place.seq === given.seq) return { place, isCut: false };
    if (crc === undefined) break;
    if (crc === markCrc(place.crc)) return { place, isCut: place.seq < given.seq };
  }
  return { place: placeInCopy(fd, path, given) ?? placeByTime(fd, given.at), isCut: true };
}

/** The checksum of a ledger's first line; undefined if it has no whole line. */
export function firstCrc(fd: number): number | undefined {
  for (let length = FIRST_BYTES; ; length *= 16) {
    const bytes = readBytes(fd, 0, length);
    const lf = bytes.indexOf(LF);
    if (lf >= 0) return recordedCrc(bytes.subarray(0, lf));
    if (bytes.length < length || length > MAX_LINE_BYTES) return undefined;
  }
}

/**
 * Opens a ledger, and closes it after use. Undefined if it is not there, is no file, or cannot be
 * read now: a feed waits for it.
 */
export function withLedger<T>(path: string, use: (fd: number, size: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(path, READING);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(fd);
    return stats.isFile() ? use(fd, stats.size) : undefined;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** A ledger's lines from the last one back, whose checksums are not tried. */
export function* linesBackwards(fd: number): Generator<WholeLine> {
  const back = new LinesBackwards(fd);
  for (let bytes = back.previous(); bytes !== undefined; bytes = back.previous()) {
    const crc = recordedCrc(bytes);
    if (crc === undefined) continue;
    const raw = bytes.toString("utf8");
    const head = headOf(raw);
    if (head === undefined) continue;
    const { seq, at, type } = head;
    yield { offset: back.offset + bytes.length + 1, seq, crc, at, type, raw };
  }
}

/** The place after the lines that a ledger has in common with a copy that has the line. */
function placeInCopy(fd: number, path: string, given: GivenLines): Place | undefined {
  const wanted = given.crcOf(given.seq);
  for (const copy of copiesOf(path)) {
    const found = withLedger(copy, (copyFd) => {
      for (const { seq, crc } of linesBackwards(copyFd)) {
        if (seq === given.seq && markCrc(crc) === wanted) return placeAtFork(fd, copyFd);
        if (seq < given.seq) return undefined;
      }
      return undefined;
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The copies of damaged ledgers beside a ledger, the newest first. */
function copiesOf(path: string): string[] {
  const folder = dirname(path);
  try {
    return damagedNamesOf(basename(path), readdirSync(folder)).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** The place after the last line that both files begin with. */
function placeAtFork(fd: number, other: number): Place {
  let fork = 0;
  for (;;) {
    const own = readBytes(fd, fork, COMPARED_BYTES);
    const its = readBytes(other, fork, COMPARED_BYTES);
    let same = 0;
    while (same < own.length && own[same] === its[same]) same += 1;
    fork += same;
    if (same < COMPARED_BYTES) break;
  }
  for (const place of linesBackwards(fd)) if (place.offset <= fork) return place;
  return START;
}

/** The place before the lines at the end that are later than a time. */
function placeByTime(fd: number, at: string): Place {
  for (const place of linesBackwards(fd)) if (!(place.at > at)) return place;
  return START;
}

/** The place after the last line that is not later than a time, in a file that no mark names. */
export function placeAfterTime(path: string, at: string): Place {
  return withLedger(path, (fd) => placeByTime(fd, at)) ?? START;
}
