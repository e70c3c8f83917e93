/**
 * Reads a file only where nobody but its user or root could have written it, as cron does with
 * crontabs (docs/failure-model.md 30).
 *
 * The file must be regular, owned by root or by whom the daemon runs as, writable by neither group
 * nor others, at most 1 MiB, and where a folder is given, lie within it: links that stay inside are
 * followed (that is how Kubernetes mounts files), others are refused. All of that is asked of the
 * open descriptor from which the bytes then come, so the bytes that were checked are the bytes that
 * count.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
  type Stats,
} from "node:fs";
import { dirname } from "node:path";
import { lacksDescriptor } from "../disk/disk-error.ts";

/** The greatest file that is read. */
export const MAX_FILE_BYTES = 1_048_576;

/** What is asked of a file. */
export interface SafeFileOptions {
  /** The folder that the file must lie in, links followed; undefined: anywhere. */
  readonly within?: string | undefined;
  readonly maxBytes?: number | undefined;
}

/** A file's bytes, or why they were not read: the rest of a sentence that begins with its name. */
export type SafeFile =
  | { readonly ok: true; readonly bytes: Buffer; readonly realPath: string }
  | { readonly ok: false; readonly message: string; readonly missing?: boolean };

/**
 * Reads a file if it is safe to. Never throws for what the file system holds.
 *
 * @throws a Node error if no descriptor is left, which says nothing about the file
 */
export function readSafeFile(path: string, options: SafeFileOptions = {}): SafeFile {
  const maxBytes = options.maxBytes ?? MAX_FILE_BYTES;
  let descriptor: number | undefined;
  try {
    const realPath = realpathSync(path);
    if (options.within !== undefined) {
      const folder = realpathSync(options.within);
      if (!isWithin(realPath, folder))
        return refuse(
          `is a link that leaves the folder: it leads to ${realPath}; copy the file into the folder instead`,
        );
      const loose = looseFolder(dirname(realPath), folder);
      if (loose !== undefined)
        return refuse(`lies in ${loose}, which everybody may write to: run chmod o-w ${loose}`);
    }
    const before = kindFault(lstatSync(realPath));
    if (before !== undefined) return refuse(before);
    // Not blocking, so that a FIFO put there meanwhile holds nothing up; no link as the last part,
    // since realPath has none.
    descriptor = openSync(
      realPath,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
    const stats = fstatSync(descriptor);
    const fault =
      kindFault(stats) ??
      ownerFault(stats, path) ??
      (stats.size > maxBytes ? sizeFault(maxBytes) : undefined);
    if (fault !== undefined) return refuse(fault);
    if (options.within !== undefined && openedPath(descriptor, realPath) !== realPath)
      return refuse("was moved while it was read; it will be read again");
    const bytes = readAll(descriptor, maxBytes);
    return bytes === undefined ? refuse(sizeFault(maxBytes)) : { ok: true, bytes, realPath };
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code === "ENOENT")
      return {
        ok: false,
        message: isDanglingLink(path)
          ? "is a link to a file that does not exist"
          : "does not exist",
        missing: true,
      };
    if (code === "ELOOP") return refuse("is a link that leads in a circle, or was replaced by one");
    if (code === "EACCES" || code === "EPERM")
      return refuse("may not be read by the user that orchd runs as");
    if (code === undefined || lacksDescriptor(thrown)) throw thrown;
    return refuse(`cannot be read (${message})`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Whether a real path is a folder or lies in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function kindFault(stats: Stats): string | undefined {
  if (stats.isFile()) return undefined;
  const kind = stats.isDirectory()
    ? "a folder"
    : stats.isFIFO()
      ? "a FIFO"
      : stats.isSocket()
        ? "a socket"
        : stats.isSymbolicLink()
          ? "a link"
          : "a device";
  return `is ${kind}, not a regular file`;
}

function ownerFault(stats: Stats, path: string): string | undefined {
  const self = process.geteuid?.() ?? stats.uid;
  if (stats.uid !== 0 && stats.uid !== self)
    return `belongs to user ${stats.uid}, neither to root nor to the user that orchd runs as (${self}): run chown on it if you trust it`;
  if ((stats.mode & 0o022) !== 0) {
    const who = (stats.mode & 0o002) !== 0 ? "everybody" : "its group";
    return `may be written by ${who} (mode ${(stats.mode & 0o7777).toString(8)}): run chmod go-w ${path}`;
  }
  return undefined;
}

function sizeFault(maxBytes: number): string {
  return `is larger than ${maxBytes / 1_048_576} MiB`;
}

/**
 * A folder from the file's up to the given one that anybody may put files into (a sticky one keeps
 * others' files apart).
 */
function looseFolder(from: string, to: string): string | undefined {
  for (let folder = from; isWithin(folder, to); folder = dirname(folder)) {
    const { mode } = statSync(folder);
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) return folder;
    if (folder === to || folder === "/") return undefined;
  }
  return undefined;
}

/**
 * Where an open descriptor's file really is, so that a folder swapped for a link in between is
 * noticed.
 */
function openedPath(descriptor: number, expected: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return realpathSync(expected);
  }
}

function readAll(descriptor: number, maxBytes: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536);
    const read = readSync(descriptor, chunk, 0, chunk.length, null);
    if (read === 0) return Buffer.concat(chunks, total);
    total += read;
    if (total > maxBytes) return undefined;
    chunks.push(chunk.subarray(0, read));
  }
}

function isDanglingLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

function refuse(message: string): SafeFile {
  return { ok: false, message };
}
