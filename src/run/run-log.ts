/**
 * What a run's steps printed: RUN.log beside the run's ledger, JSON Lines of {at, step, attempt,
 * stream, line} (docs/ledger.md).
 *
 * The file is created with its first line and never synced: a lost log line is a pity, a waiting
 * step is worse. One write is in flight. What comes meanwhile is in the next one. If the disk is
 * too slow, or full, what is over {@link MAX_WAITING} is dropped. A line says how many were
 * dropped.
 */
import { constants } from "node:fs";
import { countText } from "../core/counted.ts";
import type { OutputLine } from "../core/task.ts";
import { systemDisk, writeAll, type Disk } from "../disk/disk.ts";
import { endsWithinLine } from "../disk/own-file.ts";

/** The most characters that wait for the disk. */
const MAX_WAITING = 16 * 1024 * 1024;
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
  #waiting: string[] = [];
  #size = 0;
  #dropped = 0;
  #lastAt = "";
  /** A part of a line may stand at the file's end: a write failed, or its writer was killed. */
  #torn = false;
  #fd: number | undefined;
  #writing: Promise<void> | undefined;

  constructor(path: string, onError: (error: unknown) => void, disk: Disk = systemDisk) {
    this.#path = path;
    this.#disk = disk;
    this.#onError = onError;
  }

  /** Whether all lines so far are written, or given up. */
  get idle(): boolean {
    return this.#writing === undefined;
  }

  /** Takes lines. Never waits and never throws. */
  write(lines: readonly OutputLine[]): void {
    for (const { at, step, attempt, stream, line } of lines) {
      if (this.#size > MAX_WAITING) {
        this.#dropped += 1;
        continue;
      }
      const text = `${JSON.stringify({ at, step, attempt, stream, line })}\n`;
      this.#waiting.push(text);
      this.#size += text.length;
      this.#lastAt = at;
    }
    this.#writing ??= this.#drain();
  }

  /** Resolves when all lines so far are written, or given up. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  /** Writes the rest and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await this.#disk.close(fd).catch(this.#onError);
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        if (this.#fd === undefined) await this.#open();
        // What follows a torn line begins a line of its own, so that readers lose that one alone.
        const bytes = Buffer.from((this.#torn ? "\n" : "") + this.#waiting.join(""));
        this.#waiting = [];
        this.#size = 0;
        this.#torn = true;
        // Under O_APPEND the position is ignored.
        await writeAll(this.#disk, this.#fd!, bytes, 0);
        this.#torn = false;
        if (this.#dropped > 0) this.#noteDropped();
      }
    } catch (error) {
      this.#waiting = [];
      this.#size = 0;
      this.#onError(error);
    } finally {
      this.#writing = undefined;
    }
  }

  async #open(): Promise<void> {
    this.#fd = await this.#disk.open(this.#path, FLAGS, 0o640);
    this.#torn ||= endsWithinLine(this.#path);
  }

  #noteDropped(): void {
    const were = this.#dropped === 1 ? "was" : "were";
    const line = `${countText(this.#dropped, "line")} ${were} dropped: the disk did not keep up`;
    this.#dropped = 0;
    this.#waiting.push(
      `${JSON.stringify({ at: this.#lastAt, step: "", attempt: 0, stream: "orchd", line })}\n`,
    );
  }
}
