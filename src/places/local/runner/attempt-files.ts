/**
 * The files of one attempt of a shell step, in a folder of their own: what it is given, and what it
 * writes to `$ORCHD_OUTPUT`.
 *
 * The command may do anything to them: replace them by folders, remove them, fill the folder. So
 * nothing here relies on what was made, and nothing that the command did is seen by another
 * attempt.
 */
import { constants } from "node:fs";
import { closeSync, fstatSync, lstatSync, openSync, readSync, rmdirSync } from "node:fs";
import { statSync, unlinkSync, writeFileSync, type Stats } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../../disk/disk-error.ts";
import { removeTrees } from "../../../disk/remove-tree.ts";
import { BadOutput } from "../../../steps/step-result.ts";
import { RESULT_LIMIT } from "../../../core/task.ts";

/** One folder of files for one attempt. */
export class AttemptFiles {
  /** The path that the command finds in `ORCHD_OUTPUT`. */
  readonly output: string;
  readonly #folder: string;
  readonly #written: string[] = [];

  /** @param folder an empty one, for this attempt alone */
  constructor(folder: string) {
    this.#folder = folder;
    this.output = join(folder, "output");
  }

  /**
   * Writes what the command is given.
   *
   * @param ending of the file's name
   * @returns the file's path. The names of two files never meet
   * @throws a Node error
   */
  write(name: string, text: string, ending = ".json"): string {
    const path = join(this.#folder, `${this.#written.length + 1}-${name}${ending}`);
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    this.#written.push(path);
    return path;
  }

  /**
   * What the command wrote to `$ORCHD_OUTPUT`. Undefined if that is nothing. A link to a file is
   * followed.
   *
   * @param step `step "archive"`
   * @throws BadOutput if it is not a file that can be read, or is larger than {@link RESULT_LIMIT}
   */
  readOutput(step: string): Buffer | undefined {
    const kind = this.#kindOfOutput(step);
    if (kind === undefined) return undefined;
    if (kind !== "a file")
      throw new BadOutput(
        `${step} made $ORCHD_OUTPUT ${kind}: write the result as JSON to the file of that name`,
      );
    try {
      return this.#bytes(step);
    } catch (error) {
      if (error instanceof BadOutput) throw error;
      throw new BadOutput(`${step}: $ORCHD_OUTPUT cannot be read: ${(error as Error).message}`);
    }
  }

  /** Removes them. Never throws: what takes longer than a moment is removed beside the steps. */
  remove(): void {
    try {
      for (const path of [...this.#written, this.output]) removeFile(path);
      rmdirSync(this.#folder);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") void removeTrees([this.#folder]);
    }
  }

  #kindOfOutput(step: string): string | undefined {
    try {
      if (lstatSync(this.output, { throwIfNoEntry: false }) === undefined) return undefined;
      const target = statSync(this.output, { throwIfNoEntry: false });
      return target === undefined ? "a link to nothing" : kindOf(target);
    } catch (error) {
      // A part of the path is no folder any more: the command removed the folder.
      if (errorCode(error) === "ENOTDIR") return undefined;
      if (errorCode(error) === "ELOOP") return "a link to itself";
      throw new BadOutput(`${step}: $ORCHD_OUTPUT cannot be read: ${(error as Error).message}`);
    }
  }

  #bytes(step: string): Buffer | undefined {
    // Should it be a FIFO by now, this does not wait for a writer.
    const fd = openSync(this.output, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { size } = fstatSync(fd);
      if (size > RESULT_LIMIT)
        throw new BadOutput(
          `${step} wrote ${size} bytes to $ORCHD_OUTPUT; at most ${RESULT_LIMIT} can be kept`,
        );
      if (size === 0) return undefined;
      const bytes = Buffer.allocUnsafe(size);
      let length = 0;
      for (let read = -1; read !== 0 && length < size; length += read)
        read = readSync(fd, bytes, length, size - length, length);
      return bytes.subarray(0, length);
    } finally {
      closeSync(fd);
    }
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

function kindOf(stats: Stats): string {
  if (stats.isFile()) return "a file";
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}
