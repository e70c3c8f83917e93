/**
 * Where the files of shell steps are while they run. Each attempt has a folder of its own
 * (attempt-files.ts). The files of a step with secrets are in memory (`/dev/shm`), so that no disk
 * holds a value, even if the machine loses power. The runner's guard removes them with all else
 * that the runner leaves.
 *
 * To make and remove a folder on a disk costs as much as a brief step. So one that an attempt left
 * as it was is kept for a moment and given to another. File names never come again, but that of an
 * empty object (attempt-files.ts).
 *
 * A step may remove the folders above its own, and other runners and daemons use them too. So they
 * are made when they are needed, and again when they are gone.
 */
import { lstatSync, mkdtempSync, rmdir, unlink } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../disk/disk-error.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import { removeTrees } from "../../disk/remove-tree.ts";
import { AttemptFiles, type EmptyFile } from "./attempt-files.ts";
import type { Guard } from "./guard.ts";

const MEMORY = "/dev/shm";

/** How long free folders are kept for the next attempt, in milliseconds. */
const KEPT_MS = 250;

/** A folder, and what it was when it was made. */
interface Made {
  readonly path: string;
  readonly ino: number;
  /** The only file in it. */
  readonly empty?: EmptyFile | undefined;
}

/** The scratch folders of one runner. */
export class Scratch {
  readonly #folder: string;
  readonly #guard: Guard;
  /** Folders on the disk that are empty and wait for the next attempt. */
  readonly #free: Made[] = [];
  /** Goes on as long as no attempt comes. */
  readonly #unused = setTimeout(() => this.#tidy(), KEPT_MS).unref();
  #inMemory: Made | undefined;

  /** @param folder for files without secrets */
  constructor(folder: string, guard: Guard) {
    this.#folder = folder;
    this.#guard = guard;
  }

  /**
   * Gives the files of an attempt a folder. Where it is depends on whether the step has secrets.
   *
   * @param fresh one that nobody has had before
   * @throws a Node error if there is no room, or no right to make it
   */
  begin(
    { secrets }: { readonly secrets?: readonly string[] | undefined },
    fresh: boolean,
  ): AttemptFiles {
    const hasSecrets = secrets !== undefined && secrets.length > 0;
    const inMemory = hasSecrets ? this.#makeInMemory() : undefined;
    if (inMemory !== undefined) return new AttemptFiles(inMemory);
    for (let made = fresh ? undefined : this.#free.pop(); made; made = this.#free.pop()) {
      if (isStill(made)) return new AttemptFiles(made.path, made.ino, made.empty);
      void removeTrees([made.path]);
    }
    const path = this.#make();
    return new AttemptFiles(path, lstatSync(path).ino);
  }

  /** Removes the files of an attempt. Never throws: what takes long is removed beside the steps. */
  end(files: AttemptFiles): void {
    const { folder: path, ino, empty } = files;
    const left = files.remove();
    if (left === "nothing") return;
    if (left === "files") void removeTrees([path]);
    else if (ino === undefined) rmdir(path, () => {});
    else {
      this.#free.push({ path, ino, empty });
      this.#unused.refresh();
    }
  }

  /** To remove a folder can take milliseconds, which no step waits for. */
  #tidy(): void {
    for (const { path, empty } of this.#free.splice(0)) {
      const removeFolder = (): void =>
        rmdir(path, (error) => {
          if (error !== null && errorCode(error) !== "ENOENT") void removeTrees([path]);
        });
      if (empty === undefined) removeFolder();
      else unlink(empty.path, removeFolder);
    }
  }

  #make(): string {
    const prefix = join(this.#folder, attemptPrefix(process.pid));
    try {
      return mkdtempSync(prefix);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    makeFolder(this.#folder, 0o700);
    return mkdtempSync(prefix);
  }

  /**
   * Undefined if this system has no such folder. The other one can be read by this user alone, and
   * the files are removed when the step ends.
   */
  #makeInMemory(): string | undefined {
    try {
      if (this.#inMemory === undefined || !isStill(this.#inMemory)) {
        // The name is random, so nobody else can have made the folder.
        const path = mkdtempSync(join(MEMORY, "orchd-"));
        this.#guard.keeps(path);
        this.#inMemory = { path, ino: lstatSync(path).ino };
      }
      return mkdtempSync(join(this.#inMemory.path, "a-"));
    } catch {
      return undefined;
    }
  }
}

/** How the names of a runner's folders begin. @param pid the runner's */
export function attemptPrefix(pid: number): string {
  return `${pid}-`;
}

/**
 * Whether a folder is as it was made. Once it is removed, anybody can take its name.
 */
function isStill({ path, ino }: Made): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return (
    stats?.ino === ino &&
    stats.isDirectory() &&
    (stats.mode & 0o7777) === 0o700 &&
    stats.uid === process.geteuid?.()
  );
}
