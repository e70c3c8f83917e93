/**
 * The content hashes of the files that steps depend on. A file that looks the same as when it was
 * hashed is not read again. A file that was written just before is read again: a second write could
 * have the same time.
 */
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, statSync, type Stats } from "node:fs";

/** How long a file counts as just written, in milliseconds: longer than any file system's tick. */
const YOUNG_MS = 2_000;
/** The most hashes that are kept. */
const KEPT = 16_384;
/** The largest file that is read in one go. A larger one is streamed: the daemon must not wait. */
const AT_ONCE_BYTES = 262_144;

/** Hashes files, and remembers the hashes. */
export class FileHashes {
  readonly #known = new Map<string, { readonly seen: Stats; readonly hash: string }>();

  /**
   * A file's sha256, in hex; a promise of it if that takes a while.
   *
   * @throws Error, or rejects with one, that says why the file cannot be read: the rest of a
   *   sentence that begins with the file's name
   */
  of(path: string): string | Promise<string> {
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
    if (seen.size > AT_ONCE_BYTES) return this.#stream(path, seen, now);
    try {
      return this.#keep(
        path,
        seen,
        now,
        createHash("sha256").update(readFileSync(path)).digest("hex"),
      );
    } catch (error) {
      throw unreadable(error);
    }
  }

  async #stream(path: string, seen: Stats, now: number): Promise<string> {
    const hash = createHash("sha256");
    try {
      for await (const block of createReadStream(path)) hash.update(block as Buffer);
    } catch (error) {
      throw unreadable(error);
    }
    return this.#keep(path, seen, now, hash.digest("hex"));
  }

  #keep(path: string, seen: Stats, now: number, hash: string): string {
    this.#known.delete(path);
    if (seen.ctimeMs > now - YOUNG_MS) return hash;
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(path, { seen, hash });
    return hash;
  }
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
