/**
 * The port to the disk for everything that must be durable. Tests use disks that fail, count and
 * forget.
 *
 * Every call goes through libuv's threads: an fdatasync takes 0.1 to 4 ms, and the daemon's main
 * thread has timers to keep. Reading is not here: readers use node:fs directly.
 */
import {
  close,
  fchmod,
  fdatasync,
  fsync,
  ftruncate,
  link,
  mkdir,
  open,
  rename,
  unlink,
  write,
} from "node:fs";

/** The calls that durable writing needs. Each rejects with a Node error that has a `code`. */
export interface Disk {
  /** Opens a file and gives its descriptor. `flags` are those of `fs.open`. */
  open(path: string, flags: string | number, mode?: number): Promise<number>;
  /** Writes at an absolute position; may write only a part. Gives how many bytes it wrote. */
  write(fd: number, bytes: Uint8Array, offset: number, position: number): Promise<number>;
  fdatasync(fd: number): Promise<void>;
  fsync(fd: number): Promise<void>;
  /** Sets the mode, whatever the umask. */
  fchmod(fd: number, mode: number): Promise<void>;
  ftruncate(fd: number, length: number): Promise<void>;
  close(fd: number): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string): Promise<void>;
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

/** Callbacks, not fs.promises: a FileHandle costs several times as much as the call in it. */
function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    start((error, value) => (error === null ? resolve(value) : reject(error))),
  );
}

let written = 0;

/**
 * How many bytes this process has written through {@link systemDisk}: ledgers, logs, artifacts and
 * the cache's index.
 */
export function bytesWritten(): number {
  return written;
}

/** The disk of the machine. */
export const systemDisk: Disk = {
  open: (path, flags, mode) => call((done) => open(path, flags, mode, done)),
  write: (fd, bytes, offset, position) => {
    written += bytes.byteLength - offset;
    return call((done) => write(fd, bytes, offset, bytes.byteLength - offset, position, done));
  },
  fdatasync: (fd) => call((done: Done<void>) => fdatasync(fd, (error) => done(error, undefined))),
  fsync: (fd) => call((done: Done<void>) => fsync(fd, (error) => done(error, undefined))),
  fchmod: (fd, mode) =>
    call((done: Done<void>) => fchmod(fd, mode, (error) => done(error, undefined))),
  ftruncate: (fd, length) =>
    call((done: Done<void>) => ftruncate(fd, length, (error) => done(error, undefined))),
  close: (fd) => call((done: Done<void>) => close(fd, (error) => done(error ?? null, undefined))),
  link: (existing, path) =>
    call((done: Done<void>) => link(existing, path, (error) => done(error, undefined))),
  rename: (from, to) =>
    call((done: Done<void>) => rename(from, to, (error) => done(error, undefined))),
  unlink: (path) => call((done: Done<void>) => unlink(path, (error) => done(error, undefined))),
  mkdir: (path) => call((done: Done<void>) => mkdir(path, (error) => done(error, undefined))),
};

/**
 * Writes all of `bytes` at `position`, in as many calls as it takes. @throws a Node error; a part
 * of the bytes may be written then
 */
export async function writeAll(
  disk: Disk,
  fd: number,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    const more = await disk.write(fd, bytes, written, position + written);
    if (more === 0)
      throw Object.assign(new Error("the disk took no byte of a write"), { code: "EIO" });
    written += more;
  }
}
