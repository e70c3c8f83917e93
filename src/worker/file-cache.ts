/**
 * Files that came from a broker, kept for the next task: bundles and artifacts, each named by the
 * sha256 of its content. A file is checked before it gets its name, and again when this process
 * first uses one that was there.
 *
 * It is bounded: where it holds more than it may, the files that were used longest ago go. Files of
 * tasks that a worker holds stay, so it may be larger for a while.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { STAGED_PREFIX } from "../core/task.ts";
import { makeFolder } from "../disk/make-folder.ts";

/** What a cache may hold, in bytes: 2 GiB. */
const LIMIT_BYTES = 2 * 1024 * 1024 * 1024;
/** How the names of files begin that are not whole yet. */
const PART_PREFIX = ".part-";
const HASH = /^[0-9a-f]{64}$/;

/** What kind of file a hash is of. */
export type FileKind = "bundle" | "artifact";

/** A file cannot be had. The message is a sentence. */
export class FileMissing extends Error {
  override readonly name = "FileMissing";
}

interface KeptFile {
  readonly path: string;
  /** 0 while it is known not to be there. */
  bytes: number;
  /** Its content was checked by this process. */
  checked: boolean;
  /** How many tasks use it. */
  users: number;
}

/** A folder of such files. */
export class FileCache {
  /** The folder of bundles: `HASH.mjs`. */
  readonly bundles: string;
  /** The folder of artifacts. Runners also write large results into it. */
  readonly artifacts: string;
  readonly #limit: number;
  /** By path, the one that was used longest ago first. */
  readonly #files = new Map<string, KeptFile>();
  readonly #coming = new Map<string, Promise<void>>();
  #bytes = 0;

  /**
   * Opens a folder, and removes what an earlier process left unfinished. One process at a time may
   * use a folder.
   *
   * @throws a Node error
   */
  constructor(folder: string, limit = LIMIT_BYTES) {
    this.bundles = join(folder, "bundles");
    this.artifacts = join(folder, "artifacts");
    this.#limit = limit;
    const found: (KeptFile & { readonly usedAt: number })[] = [];
    for (const kept of [this.bundles, this.artifacts]) {
      makeFolder(kept, 0o700);
      for (const name of readdirSync(kept)) {
        const path = join(kept, name);
        if (name.startsWith(PART_PREFIX) || name.startsWith(STAGED_PREFIX))
          rmSync(path, { force: true });
        else {
          const { size, mtimeMs } = statSync(path);
          found.push({ path, bytes: size, checked: false, users: 0, usedAt: mtimeMs });
        }
      }
    }
    for (const file of found.sort((one, other) => one.usedAt - other.usedAt)) this.#add(file);
    this.#shrink();
  }

  /** How much it holds, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Has a file ready for a task, and keeps it until {@link release}.
   *
   * @param get gives the content, where the cache lacks it. Undefined: nobody has it
   * @param mapOf the bundle whose source map it is: it is kept beside it. Undefined: it is no map
   * @throws FileMissing, a Node error, what `get` throws
   */
  async use(
    kind: FileKind,
    hash: string,
    get: () => Promise<Uint8Array | undefined>,
    mapOf?: string,
  ): Promise<void> {
    const path = this.#path(kind, hash, mapOf);
    for (;;) {
      const file = this.#files.get(path);
      // Somebody may have removed it: whoever cleans up, or is short of room.
      if (file?.checked === true && existsSync(path)) {
        file.users += 1;
        // It is the newest now.
        this.#files.delete(path);
        this.#files.set(path, file);
        this.#shrink();
        return;
      }
      let coming = this.#coming.get(path);
      if (coming === undefined) {
        coming = this.#come(path, hash, file, get).finally(() => this.#coming.delete(path));
        this.#coming.set(path, coming);
      }
      await coming;
    }
  }

  /** A task needs a file no more. */
  release(kind: FileKind, hash: string, mapOf?: string): void {
    const file = this.#files.get(this.#path(kind, hash, mapOf));
    if (file === undefined) return;
    file.users -= 1;
    this.#shrink();
  }

  async #come(
    path: string,
    hash: string,
    there: KeptFile | undefined,
    get: () => Promise<Uint8Array | undefined>,
  ): Promise<void> {
    if (there !== undefined) {
      if (hashOf(await readFile(path).catch(() => NOTHING)) === hash) {
        there.checked = true;
        return;
      }
      this.#lost(there);
    }
    const content = await get();
    if (content === undefined)
      throw new FileMissing(`The file ${hash} that it needs is not at the broker any more.`);
    if (hashOf(content) !== hash)
      throw new FileMissing(`The file ${hash} came damaged from the broker.`);
    makeFolder(dirname(path), 0o700);
    const part = join(dirname(path), `${PART_PREFIX}${randomBytes(8).toString("hex")}`);
    try {
      await writeFile(part, content, { flag: "wx", mode: 0o600 });
      renameSync(part, path);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
    const kept = this.#files.get(path);
    if (kept === undefined)
      return this.#add({ path, bytes: content.length, checked: true, users: 0 });
    this.#bytes += content.length;
    kept.bytes = content.length;
    kept.checked = true;
  }

  /** A file is not there, or is another one. What uses it is counted on. */
  #lost(file: KeptFile): void {
    if (file.users === 0) return this.#remove(file);
    this.#bytes -= file.bytes;
    file.bytes = 0;
    file.checked = false;
    rmSync(file.path, { force: true });
  }

  #path(kind: FileKind, hash: string, mapOf?: string): string {
    for (const one of mapOf === undefined ? [hash] : [hash, mapOf])
      if (!HASH.test(one)) throw new FileMissing(`${JSON.stringify(one)} is no hash of a file.`);
    // Each step asks for each of its files twice, and `join` takes longer than all else here.
    if (mapOf !== undefined) return `${this.bundles}/${mapOf}.mjs.map`;
    return kind === "bundle" ? `${this.bundles}/${hash}.mjs` : `${this.artifacts}/${hash}`;
  }

  #add(file: KeptFile): void {
    this.#files.set(file.path, file);
    this.#bytes += file.bytes;
  }

  #remove(file: KeptFile): void {
    this.#files.delete(file.path);
    this.#bytes -= file.bytes;
    rmSync(file.path, { force: true });
  }

  #shrink(): void {
    for (const file of this.#files.values()) {
      if (this.#bytes <= this.#limit) return;
      if (file.users === 0 && !this.#coming.has(file.path)) this.#remove(file);
    }
  }
}

const NOTHING = new Uint8Array();

function hashOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
