/**
 * The content hashes of the files that steps depend on. A file that looks the same as when it was
 * hashed is not read again. A file that was written just before is read again: a second write could
 * have the same time.
 *
 * The daemon must not wait for a file. A large one is read in pieces, a few files at a time, and
 * so are small ones once many of them were read in one turn. A caller that needs the hash no more
 * says so by its signal: it is rejected at once, and the file is read no further unless somebody
 * else waits for it. A piece that the kernel does not give (a file system that has stopped) is
 * left behind.
 */
import { createHash } from "node:crypto";
import { constants, readFileSync, statSync, type Stats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { sha256 } from "../core/sha256.ts";

/** How long a file counts as just written, in milliseconds: longer than any file system's tick. */
const YOUNG_MS = 2_000;
/** The most hashes that are kept. */
const KEPT = 16_384;
/** The largest file that is read in one go, in bytes. */
const AT_ONCE_BYTES = 262_144;
/** How much is read in one go within one turn of the event loop, in bytes. */
const TURN_BYTES = 4_194_304;
/** What a file counts at least, in bytes: opening it takes time too. */
const FILE_BYTES = 8_192;
/** The size of a piece, in bytes. */
const PIECE_BYTES = 1_048_576;
/** How many files are read in pieces at the same time. */
const READ_TOGETHER = 4;

/** A file that is being read, and how many wait for its hash. */
interface Reading {
  readonly seen: Stats;
  readonly hash: Promise<string>;
  readonly controller: AbortController;
  waiting: number;
}

/** Hashes files, and remembers the hashes. */
export class FileHashes {
  readonly #known = new Map<string, { readonly seen: Stats; readonly hash: string }>();
  readonly #readings = new Map<string, Reading>();
  #reading = 0;
  readonly #turns: (() => void)[] = [];
  #readThisTurn = 0;

  /**
   * A file's sha256, in hex; a promise of it if that takes a while.
   *
   * @param signal rejects the promise with its reason
   * @throws Error, or rejects with one, that says why the file cannot be read: the rest of a
   *   sentence that begins with the file's name
   */
  of(path: string, signal?: AbortSignal): string | Promise<string> {
    const now = Date.now();
    let seen: Stats | undefined;
    try {
      seen = statSync(path, { throwIfNoEntry: false });
    } catch (error) {
      throw unreadable(error);
    }
    if (seen === undefined) throw new Error("is not there");
    const known = this.#known.get(path);
    if (known !== undefined && looksTheSame(known.seen, seen)) return known.hash;
    if (!seen.isFile()) throw new Error("is no file");
    if (seen.size > AT_ONCE_BYTES || !this.#mayReadAtOnce(seen.size))
      return this.#share(path, seen, now, signal);
    try {
      return this.#keep(path, seen, now, sha256(readFileSync(path)));
    } catch (error) {
      throw unreadable(error);
    }
  }

  #mayReadAtOnce(size: number): boolean {
    if (this.#readThisTurn === 0) setImmediate(() => (this.#readThisTurn = 0));
    this.#readThisTurn += Math.max(size, FILE_BYTES);
    return this.#readThisTurn <= TURN_BYTES;
  }

  /** Reads a file once for all that want its hash at the same time. */
  #share(path: string, seen: Stats, now: number, signal?: AbortSignal): Promise<string> {
    let reading = this.#readings.get(path);
    if (reading === undefined || !looksTheSame(reading.seen, seen)) {
      const controller = new AbortController();
      const hash = this.#inPieces(path, controller.signal).then((found) =>
        this.#keep(path, seen, now, found),
      );
      const begun: Reading = { seen, hash, controller, waiting: 0 };
      this.#readings.set(path, begun);
      const end = (): void => {
        if (this.#readings.get(path) === begun) this.#readings.delete(path);
      };
      hash.then(end, end);
      reading = begun;
    }
    const { hash, controller } = reading;
    const shared = reading;
    shared.waiting += 1;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        reject(signal!.reason as Error);
        shared.waiting -= 1;
        if (shared.waiting > 0) return;
        this.#readings.delete(path);
        controller.abort(signal!.reason);
      };
      if (signal?.aborted === true) return leave();
      signal?.addEventListener("abort", leave, { once: true });
      const done = (): void => signal?.removeEventListener("abort", leave);
      hash.finally(done).then(resolve, reject);
    });
  }

  async #inPieces(path: string, signal: AbortSignal): Promise<string> {
    await this.#turn(signal);
    try {
      return await cut(signal, hashOf(path, signal));
    } catch (error) {
      throw signal.aborted ? error : unreadable(error);
    } finally {
      this.#reading -= 1;
      this.#turns.shift()?.();
    }
  }

  /** Waits until fewer files are being read. */
  async #turn(signal: AbortSignal): Promise<void> {
    while (this.#reading >= READ_TOGETHER)
      await new Promise<void>((resolve) => void this.#turns.push(resolve));
    this.#reading += 1;
    if (!signal.aborted) return;
    this.#reading -= 1;
    this.#turns.shift()?.();
    throw signal.reason;
  }

  #keep(path: string, seen: Stats, now: number, hash: string): string {
    this.#known.delete(path);
    if (seen.ctimeMs > now - YOUNG_MS) return hash;
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(path, { seen, hash });
    return hash;
  }
}

/** The sha256 of a file that is read in pieces. */
async function hashOf(path: string, signal: AbortSignal): Promise<string> {
  // Without O_NONBLOCK the opening of a FIFO that took the file's place would never end.
  const file: FileHandle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error("it is no file");
    const hash = createHash("sha256");
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(piece.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** The promise, or a rejection as soon as the signal comes. */
function cut<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", leave, { once: true });
    promise.finally(() => signal.removeEventListener("abort", leave)).then(resolve, reject);
  });
}

/**
 * Whether a file is unchanged. Writing to it, and putting another file in its place, changes one of
 * these fields: the time of the last change (ctime) cannot be set back.
 */
function looksTheSame(a: Stats, b: Stats): boolean {
  return (
    a.ctimeMs === b.ctimeMs &&
    a.mtimeMs === b.mtimeMs &&
    a.size === b.size &&
    a.ino === b.ino &&
    a.dev === b.dev
  );
}

function unreadable(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  return new Error(code === "ENOENT" ? "is not there" : `cannot be read: ${message}`, {
    cause: error,
  });
}
