/**
 * Files and folders that orchd keeps for itself, where a person or another program may have put
 * something else under the name: a folder, a pipe, a socket. A pipe would hold whoever opens it for
 * ever. What stands there is moved out of the way and never removed: it may be somebody's.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync } from "node:fs";
import { errorCode } from "./disk-error.ts";
import { isThere, PathFault } from "./path-fault.ts";
import { readBytes } from "./read-bytes.ts";

const LF = 10;

/**
 * Reads a whole file, and waits for nobody.
 *
 * @throws PathFault where another thing has the name; a Node error, `ENOENT` where nothing has it
 */
export function readOwnFile(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new PathFault(path, stats.isDirectory() ? "EISDIR" : "EFTYPE");
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** As {@link readOwnFile}, for a file of UTF-8. */
export function readOwnText(path: string): string {
  return readOwnFile(path).toString("utf8");
}

/**
 * Whether the last line of a file has no end: whoever wrote it was killed, or lost power. Not where
 * no file has the name, or it cannot be read.
 */
export function endsWithinLine(path: string): boolean {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      const stats = fstatSync(fd);
      return stats.isFile() && stats.size > 0 && readBytes(fd, stats.size - 1, 1)[0] !== LF;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/**
 * Gives a file its name; a folder that has it is moved out of the way. @throws a Node error
 */
export function renameOwnFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isFolderThere(error)) throw error;
    moveOutOfTheWay(to);
    renameSync(from, to);
  }
}

/** Whether giving a file its name failed since a folder has it. */
export function isFolderThere(error: unknown): boolean {
  return errorCode(error) === "EISDIR";
}

/**
 * Gives what has this name another one beside it: `NAME.in-the-way-N`, N from 1.
 *
 * @returns the path that it has now
 * @throws a Node error
 */
export function moveOutOfTheWay(path: string): string {
  let n = 1;
  while (isThere(`${path}.in-the-way-${n}`)) n += 1;
  const aside = `${path}.in-the-way-${n}`;
  renameSync(path, aside);
  return aside;
}
