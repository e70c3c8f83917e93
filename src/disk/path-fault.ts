/**
 * What can be wrong with one path while its disk is well: it is not this user's, a folder stands
 * where a file is expected, its links lead nowhere, it is as long as a file may be. A person mends
 * that; it says nothing about other paths. A disk that fails (EIO), a file system that became
 * read-only (EROFS) and a failed sync are no path faults: these concern everything that is written.
 */
import { lstatSync, statSync, type Stats } from "node:fs";
import { errorCode } from "./disk-error.ts";

/** By the code of a Node error: what is wrong, as a clause. */
const REASONS = new Map([
  ["EACCES", "this user may not use it"],
  ["EPERM", "this user may not change it"],
  ["ENOTDIR", "a part of its path is a file where a folder should be"],
  ["EISDIR", "it is a folder"],
  ["EFTYPE", "it is no regular file"],
  ["ELOOP", "its links lead in a circle"],
  ["ENAMETOOLONG", "its path is too long"],
  ["ENOENT", "a part of its path is gone, or is a link to nothing"],
  ["ENXIO", "it is a pipe or a socket"],
  ["EFBIG", "it may become no longer: see `ulimit -f`, LimitFSIZE= in the unit, the file system"],
  ["EMLINK", "its folder takes no more folders, or the file no more names"],
]);

/** Whether an error says that a path is bad, and nothing about the disk. */
export function isPathFault(error: unknown): boolean {
  const code = errorCode(error);
  return code !== undefined && REASONS.has(code);
}

/** What is wrong with a path, as a clause: `it is a folder (EISDIR)`. */
export function pathReason(error: unknown): string {
  const code = errorCode(error) ?? "";
  const reason = REASONS.get(code);
  if (reason === undefined) return error instanceof Error ? error.message : String(error);
  return `${reason} (${code})`;
}

/** Why a path cannot be used as a file; `code` is that of the Node error that using it gives. */
export class PathFault extends Error {
  override readonly name = "PathFault";
  readonly code: string;
  readonly path: string;
  constructor(path: string, code: string) {
    super(`${path} cannot be used: ${pathReason({ code })}.`);
    this.path = path;
    this.code = code;
  }
}

/**
 * Looks at a path that should be a regular file, or a link to one.
 *
 * @returns what is there; undefined where nothing is
 * @throws PathFault if another thing is there, or if it cannot be looked at
 */
export function regularFile(path: string): Stats | undefined {
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw isPathFault(error) ? new PathFault(path, errorCode(error)!) : error;
  }
  if (stats?.isFile() === true) return stats;
  if (stats !== undefined) throw new PathFault(path, stats.isDirectory() ? "EISDIR" : "EFTYPE");
  // `stat` says the same of a link to nothing as of no entry.
  if (isLink(path)) throw new PathFault(path, "ENOENT");
  return undefined;
}

/**
 * Whether a symbolic link has this path. Where `stat` found nothing, that is a link to nothing; any
 * other entry was made meanwhile.
 */
export function isLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  } catch {
    return false;
  }
}

/** Whether any entry has this path, a link to nothing too. */
export function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
