/**
 * The lines of one file from a place on: a block of them is read ahead. The file is open only while
 * it is read: a feed has thousands of them.
 */
import { fstatSync } from "node:fs";
import { readBytes } from "../disk/read-bytes.ts";
import { firstCrc, withLedger } from "./find-place.ts";
import type { GivenCrcs } from "./given-crcs.ts";
import { isTouched, type SeenFile } from "./seen-file.ts";
import { readWholeLines, START, type Place, type WholeLine } from "./whole-lines.ts";

/** Thousands of ledgers may have a block at the same time, when a reader was away. */
const FIRST_BYTES = 8_192;
const MOST_BYTES = 131_072;

/**
 * What reading found. `moved`: the file does not have the line before the place any more.
 * `blocked`: it is no file that can be read now.
 */
export type Found = "lines" | "none" | "moved" | "blocked";

/** What is read of one file. */
export class LedgerBuffer {
  path: string;
  /** The checksums of the lines that were taken. */
  crcs: GivenCrcs;
  #place: Place = START;
  /** At the start of a file: the checksum of its first line, where the file has to be that one. */
  #firstCrc: number | undefined;
  #lines: WholeLine[] = [];
  #next = 0;
  #block = FIRST_BYTES;
  #seen: SeenFile | undefined;

  constructor(path: string, crcs: GivenCrcs) {
    this.path = path;
    this.crcs = crcs;
  }

  /** The next line; {@link read} reads some, where there is none. */
  get head(): WholeLine | undefined {
    return this.#lines[this.#next];
  }

  /** The seq of the line that was taken last; 0 before the first. */
  get seq(): number {
    return this.#place.seq;
  }

  /** The checksum of the line that was taken last; 0 before the first. */
  get crc(): number {
    return this.#place.crc;
  }

  /** Goes to another place. @param first the checksum of the file's first line, if it is known */
  goTo(path: string, place: Place, crcs: GivenCrcs, first?: number): void {
    this.path = path;
    this.crcs = crcs;
    this.#place = place;
    this.#firstCrc = first;
    this.#lines = [];
    this.#next = 0;
    this.#seen = undefined;
  }

  /** Takes the next line. */
  take(): WholeLine {
    const line = this.#lines[this.#next++]!;
    if (this.#next === this.#lines.length) {
      this.#lines = [];
      this.#next = 0;
    }
    this.#place = line;
    this.crcs.add(line.seq, line.crc);
    return line;
  }

  /** Reads the next block, after all lines were taken. */
  read(): Found {
    return withLedger(this.path, (fd, size) => this.#readFrom(fd, size)) ?? "blocked";
  }

  /** Whether the file is not as it was when it was read last. */
  isTouched(): boolean {
    return isTouched(this.path, this.#seen);
  }

  #readFrom(fd: number, size: number): Found {
    const { offset, crc } = this.#place;
    const { ino, mtimeMs } = fstatSync(fd);
    this.#seen = { ino, size, mtimeMs };
    if (offset === 0) {
      if (this.#firstCrc !== undefined && firstCrc(fd) !== this.#firstCrc) return "moved";
    } else {
      const end = `"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
      const own = readBytes(fd, offset - end.length, end.length).toString("latin1");
      if (own !== end) return "moved";
    }
    for (;;) {
      const { offset: from } = this.#place;
      const lines = readWholeLines(fd, this.#place, size, this.#block);
      this.#block = size - from > this.#block ? Math.min(MOST_BYTES, 2 * this.#block) : FIRST_BYTES;
      if (lines.length === 0) return "none";
      // A write that found no room is cut back and made again: its lines may have been given.
      const next = lines.findIndex(({ seq, crc: own }) => !this.crcs.has(seq, own));
      if (next >= 0) {
        this.#lines = lines;
        this.#next = next;
        return "lines";
      }
      this.#place = lines.at(-1)!;
    }
  }
}
