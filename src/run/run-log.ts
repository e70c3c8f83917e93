/**
 * What a run's steps printed: RUN.log beside the run's ledger, JSON Lines of {at, step, attempt,
 * stream, line} (docs/ledger.md).
 *
 * The file is created with its first line and never synced: a lost log line is a pity, a waiting
 * step is worse. One write is in flight. What comes meanwhile is in the next one. If the disk is
 * too slow, or full, what is over {@link MAX_WAITING} is dropped. A line says how many were
 * dropped.
 *
 * Steps may print megabytes at once. What waits becomes bytes piece by piece as it comes: neither
 * the garbage collector nor one turn of the event loop has it all.
 */
import { constants } from "node:fs";
import { countText } from "../core/counted.ts";
import type { OutputLine } from "../core/task.ts";
import { systemDisk, writeAll, type Disk } from "../disk/disk.ts";
import { endsWithinLine } from "../disk/own-file.ts";

/** The most characters that wait for the disk. */
const MAX_WAITING = 16 * 1024 * 1024;
/** From how many characters on a text becomes bytes. */
const PIECE = 16 * 1024;
/** The most pieces in one write. */
const AT_ONCE = 32;
/** Never blocks: somebody may have put a pipe there that nobody reads. */
const FLAGS =
  constants.O_WRONLY |
  constants.O_CREAT |
  constants.O_APPEND |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK;

/** Writes one run's log. */
export class RunLog {
  readonly #path: string;
  readonly #disk: Disk;
  readonly #onError: (error: unknown) => void;
  /** What waits: pieces, and the text that is to be the next one. */
  #pieces: Buffer[] = [];
  #text = "";
  #size = 0;
  #dropped = 0;
  /** The line that was taken last, and what stands before its text. */
  #last: OutputLine = { at: "", step: "", attempt: 0, stream: "stdout", line: "" };
  #head = "";
  /** A part of a line may stand at the file's end: a write failed, or its writer was killed. */
  #torn = false;
  #fd: number | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(path: string, onError: (error: unknown) => void, disk: Disk = systemDisk) {
    this.#path = path;
    this.#disk = disk;
    this.#onError = onError;
  }

  /** Whether all lines so far are written, or given up. */
  get idle(): boolean {
    return this.#writing === undefined;
  }

  /** Takes lines; none once it is closed. Never waits and never throws. */
  write(lines: readonly OutputLine[]): void {
    // It would open the file again, which nobody closes, or make one of a run that was removed.
    if (this.#closed) return;
    for (const line of lines) {
      if (this.#size > MAX_WAITING) {
        this.#dropped += 1;
        continue;
      }
      this.#add(`${this.#headOf(line)}${JSON.stringify(line.line)}}\n`);
      this.#last = line;
    }
    this.#writing ??= this.#drain();
  }

  /** Resolves when all lines so far are written, or given up. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  /** Writes the rest and closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await this.#disk.close(fd).catch(this.#onError);
  }

  /** What stands before the text of a line: for many lines in turn it is the same. */
  #headOf({ at, step, attempt, stream }: OutputLine): string {
    const last = this.#last;
    const isSame =
      this.#head !== "" &&
      at === last.at &&
      step === last.step &&
      attempt === last.attempt &&
      stream === last.stream;
    if (!isSame)
      this.#head = `${JSON.stringify({ at, step, attempt, stream }).slice(0, -1)},"line":`;
    return this.#head;
  }

  #add(text: string): void {
    this.#text += text;
    this.#size += text.length;
    if (this.#text.length >= PIECE) this.#endPiece();
  }

  #endPiece(): void {
    this.#pieces.push(Buffer.from(this.#text));
    this.#text = "";
  }

  /** All that waits; nothing waits any more. */
  #takeWaiting(): Buffer[] {
    if (this.#text !== "") this.#endPiece();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#size = 0;
    return pieces;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#size > 0) {
        if (this.#fd === undefined) await this.#open();
        const pieces = this.#takeWaiting();
        for (let from = 0; from < pieces.length; from += AT_ONCE)
          await this.#append(pieces.slice(from, from + AT_ONCE));
        if (this.#dropped > 0) this.#noteDropped();
      }
    } catch (error) {
      this.#takeWaiting();
      this.#onError(error);
    } finally {
      this.#writing = undefined;
    }
  }

  async #append(pieces: readonly Buffer[]): Promise<void> {
    // What follows a torn line begins a line of its own, so that readers lose that one alone.
    const bytes = Buffer.concat(this.#torn ? [Buffer.from("\n"), ...pieces] : pieces);
    this.#torn = true;
    // Under O_APPEND the position is ignored.
    await writeAll(this.#disk, this.#fd!, bytes, 0);
    this.#torn = false;
  }

  async #open(): Promise<void> {
    this.#fd = await this.#disk.open(this.#path, FLAGS, 0o640);
    this.#torn ||= endsWithinLine(this.#path);
  }

  #noteDropped(): void {
    const were = this.#dropped === 1 ? "was" : "were";
    const line = `${countText(this.#dropped, "line")} ${were} dropped: the disk did not keep up`;
    this.#dropped = 0;
    this.#add(
      `${JSON.stringify({ at: this.#last.at, step: "", attempt: 0, stream: "orchd", line })}\n`,
    );
  }
}
