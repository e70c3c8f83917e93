/**
 * The files of one attempt of a shell step, in a folder of their own: what it is given, and what it
 * writes to `$ORCHD_OUTPUT`.
 *
 * The command may do anything to them: replace them by folders, remove them, fill the folder. So
 * nothing here relies on what was made, and nothing that the command did is seen by another
 * attempt.
 *
 * Most steps have no params and no inputs. To write, open and remove two files for that costs as
 * much as a tenth of a brief step. So what is an empty object is one file, and it stays with the
 * folder for the next attempt, which looks whether it is as it was.
 */
import { constants } from "node:fs";
import { closeSync, fstatSync, lstatSync, openSync, readSync, readdirSync } from "node:fs";
import { statSync, writeFileSync, type Stats } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../disk/disk-error.ts";
import { isLink } from "../../disk/path-fault.ts";
import { readBytes } from "../../disk/read-bytes.ts";
import { removeFile } from "../../disk/remove-file.ts";
import { BadOutput } from "../../steps/step-result.ts";
import { RESULT_LIMIT } from "../../core/task.ts";

let files = 0;

/** What a file holds that another attempt may have too. */
const EMPTY = "{}";
const LOOK = Buffer.alloc(EMPTY.length);

/** A file that holds {@link EMPTY}, and what it was when it was made. */
export interface EmptyFile {
  readonly path: string;
  readonly ino: number;
}

/** The folder of one attempt. */
export class AttemptFiles {
  readonly folder: string;
  /** The folder's inode, where another attempt may have the folder later. */
  readonly ino: number | undefined;
  /** The path that the command finds in `ORCHD_OUTPUT`. */
  readonly output: string;
  readonly #written: string[] = [];
  #empty: EmptyFile | undefined;

  /**
   * @param folder for this attempt alone, with nothing in it but `empty`
   * @param empty what an attempt before left
   */
  constructor(folder: string, ino?: number, empty?: EmptyFile) {
    this.folder = folder;
    this.ino = ino;
    this.output = this.#name("output");
    this.#empty = empty;
  }

  /** The file of an empty object, where there is one. */
  get empty(): EmptyFile | undefined {
    return this.#empty;
  }

  /**
   * Writes what the command is given.
   *
   * @param ending of the file's name
   * @returns the file's path
   * @throws a Node error
   */
  write(name: string, text: string, ending = ".json"): string {
    if (text === EMPTY) return this.#emptyFile();
    const path = this.#made(`${name}${ending}`, text);
    this.#written.push(path);
    return path;
  }

  #emptyFile(): string {
    if (this.#empty === undefined || !isStillEmpty(this.#empty)) {
      const path = this.#made("empty.json", EMPTY);
      // One that an attempt changed is removed with what was written.
      if (this.#empty !== undefined) this.#written.push(this.#empty.path);
      this.#empty = { path, ino: lstatSync(path).ino };
    }
    return this.#empty.path;
  }

  #made(name: string, text: string): string {
    const path = this.#name(name);
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
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
   * @returns what is left: a folder with {@link empty} where another attempt may have it, and else
   *   with nothing; a folder with more files; or nothing
   */
  remove(): "folder" | "files" | "nothing" {
    const { empty, ino } = this;
    const own = new Set([...this.#written, this.output, empty?.path]);
    try {
      for (const name of readdirSync(this.folder)) {
        const path = join(this.folder, name);
        if (ino !== undefined && path === empty?.path) continue;
        if (!own.has(path)) return "files";
        removeFile(path);
      }
      return "folder";
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
      const target = statSync(this.output, { throwIfNoEntry: false });
      if (target !== undefined) return kindOf(target);
      return isLink(this.output) ? "a link to nothing" : undefined;
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
      return size === 0 ? undefined : readBytes(fd, 0, size);
    } finally {
      closeSync(fd);
    }
  }
}

/** Whether a file is as it was made: its bytes, too. */
function isStillEmpty({ path, ino }: EmptyFile): boolean {
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      return (
        stats.ino === ino &&
        stats.isFile() &&
        stats.nlink === 1 &&
        (stats.mode & 0o7777) === 0o600 &&
        stats.uid === process.geteuid?.() &&
        stats.size === EMPTY.length &&
        readSync(fd, LOOK, 0, EMPTY.length, 0) === EMPTY.length &&
        LOOK.toString("latin1") === EMPTY
      );
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function kindOf(stats: Stats): string {
  if (stats.isFile()) return "a file";
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}
