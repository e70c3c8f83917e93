/**
 * The files of one attempt of a shell step, in a folder of their own: what it is given, and what it
 * writes to `$ORCHD_OUTPUT`.
 *
 * The command may do anything to them: replace them by folders, remove them, fill the folder. So
 * nothing here relies on what was made, and nothing that the command did is seen by another
 * attempt.
 */
import { constants } from "node:fs";
import { closeSync, fstatSync, lstatSync, openSync, readSync, readdirSync } from "node:fs";
import { statSync, writeFileSync, type Stats } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../disk/disk-error.ts";
import { removeFile } from "../../disk/remove-file.ts";
import { BadOutput } from "../../steps/step-result.ts";
import { RESULT_LIMIT } from "../../core/task.ts";

let files = 0;

/** The folder of one attempt. */
export class AttemptFiles {
  readonly folder: string;
  /** The folder's inode, where another attempt may have the folder later. */
  readonly ino: number | undefined;
  /** The path that the command finds in `ORCHD_OUTPUT`. */
  readonly output: string;
  readonly #written: string[] = [];

  /** @param folder an empty one, for this attempt alone */
  constructor(folder: string, ino?: number) {
    this.folder = folder;
    this.ino = ino;
    this.output = this.#name("output");
  }

  /**
   * Writes what the command is given.
   *
   * @param ending of the file's name
   * @returns the file's path
   * @throws a Node error
   */
  write(name: string, text: string, ending = ".json"): string {
    const path = `${this.#name(name)}${ending}`;
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

  /**
   * Removes them. Never throws.
   *
   * @returns what is left: an empty folder, a folder with more files, or nothing
   */
  remove(): "folder" | "files" | "nothing" {
    try {
      for (const path of [...this.#written, this.output]) removeFile(path);
      return readdirSync(this.folder).length === 0 ? "folder" : "files";
    } catch (error) {
      return errorCode(error) === "ENOENT" ? "nothing" : "files";
    }
  }

  /** The names of two files never meet. */
  #name(kind: string): string {
    files += 1;
    return join(this.folder, `${files}-${kind}`);
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

function kindOf(stats: Stats): string {
  if (stats.isFile()) return "a file";
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}
