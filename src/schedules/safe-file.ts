/**
 * Reads a file only if nobody but the daemon's user or root could have written it, as cron does
 * with crontabs (docs/failure-model.md 30).
 *
 * The file must be regular, owned by root or by the user that the daemon runs as, writable by
 * neither group nor others, and at most 1 MiB. If a folder is given, the file must lie in it, and
 * for the folder the same holds as for the file, or it is sticky as /tmp is. Links
 * that stay inside are followed, because Kubernetes mounts files that way; other links are refused.
 * The checks are made on the open descriptor that the bytes then come from, so the bytes that were
 * checked are the bytes that count.
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
import { basename, dirname, join } from "node:path";
import { lacksDescriptor } from "../disk/disk-error.ts";

/** The size of the largest file that is read, in bytes. */
export const MAX_FILE_BYTES = 1_048_576;

/** How much is read at least at once: the end of a file is found by reading beyond it. */
const END_BYTES = 512;

/** What a file has to meet. */
export interface SafeFileOptions {
  /** The folder that the file must lie in after links are followed; undefined: anywhere. */
  readonly within?: string | undefined;
  /** Default: {@link MAX_FILE_BYTES}. */
  readonly maxBytes?: number | undefined;
}

/** A file's bytes, or why they were not read: the rest of a sentence that begins with its path. */
export type SafeFile =
  | { readonly ok: true; readonly bytes: Buffer; readonly realPath: string }
  | { readonly ok: false; readonly message: string; readonly missing?: boolean };

/**
 * Reads a file if that is safe. What the file system holds is never thrown.
 *
 * @throws a Node error if no descriptor is left: that says nothing about the file
 */
export function readSafeFile(path: string, options: SafeFileOptions = {}): SafeFile {
  const maxBytes = options.maxBytes ?? MAX_FILE_BYTES;
  let descriptor: number | undefined;
  try {
    const folder = options.within === undefined ? undefined : realpathSync.native(options.within);
    const { realPath, before } = located(path, options.within, folder);
    if (folder !== undefined) {
      if (!isWithin(realPath, folder))
        return refuse(
          `is a link that leaves the folder: it leads to ${realPath}; ` +
            "copy the file into the folder instead",
        );
      const fault = folderFault(dirname(realPath), folder);
      if (fault !== undefined) return refuse(fault);
    }
    const otherKind = kindFault(before);
    if (otherKind !== undefined) return refuse(otherKind);
    // O_NONBLOCK, so that a FIFO that was put there meanwhile does not block. O_NOFOLLOW, since the
    // last part of realPath is no link.
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
    const bytes = readAll(descriptor, stats.size, maxBytes);
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

/**
 * Where a file really is, and what is there. A file directly in the folder that is no link lies
 * where the folder does: the way to the folder is not walked again.
 *
 * @throws a Node error
 */
function located(
  path: string,
  within: string | undefined,
  folder: string | undefined,
): { readonly realPath: string; readonly before: Stats } {
  if (folder !== undefined && dirname(path) === within) {
    const inFolder = join(folder, basename(path));
    const before = lstatSync(inFolder);
    if (!before.isSymbolicLink()) return { realPath: inFolder, before };
  }
  const realPath = realpathSync.native(path);
  return { realPath, before: lstatSync(realPath) };
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
    return (
      `belongs to user ${stats.uid}, neither to root nor to the user that orchd runs as ` +
      `(${self}): run chown on it if you trust it`
    );
  if ((stats.mode & 0o022) !== 0) {
    const who = (stats.mode & 0o002) !== 0 ? "everybody" : "its group";
    const mode = (stats.mode & 0o7777).toString(8);
    return `may be written by ${who} (mode ${mode}): run chmod go-w ${path}`;
  }
  return undefined;
}

function sizeFault(maxBytes: number): string {
  return `is larger than ${maxBytes / 1_048_576} MiB`;
}

/**
 * What is wrong with the folders from the file's own up to the given one: another user may put
 * files into one of them, or rename those that are there. A sticky folder that others may write is
 * none of these: it keeps users from touching one another's files.
 */
function folderFault(from: string, to: string): string | undefined {
  for (let folder = from; isWithin(folder, to); folder = dirname(folder)) {
    const fault = othersMay(statSync(folder), folder);
    if (fault !== undefined) return fault;
    if (folder === to || folder === "/") return undefined;
  }
  return undefined;
}

function othersMay({ uid, mode }: Stats, folder: string): string | undefined {
  const self = process.geteuid?.() ?? uid;
  if (uid !== 0 && uid !== self)
    return (
      `lies in ${folder}, which belongs to user ${uid}, neither to root nor to the user that ` +
      `orchd runs as (${self}): run chown on that folder if you trust what is in it`
    );
  if ((mode & 0o022) === 0 || (mode & 0o1000) !== 0) return undefined;
  const who = (mode & 0o002) !== 0 ? "everybody" : "its group";
  return (
    `lies in ${folder}, which ${who} may write to (mode ${(mode & 0o7777).toString(8)}): ` +
    `run chmod go-w ${folder}`
  );
}

/**
 * Where the file of an open descriptor really is. It shows if a folder was swapped for a link
 * between the check and the opening.
 */
function openedPath(descriptor: number, expected: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return realpathSync.native(expected);
  }
}

/** @param size how long the file was; it may have grown since */
function readAll(descriptor: number, size: number, maxBytes: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.max(size - total, END_BYTES));
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
