/**
 * Where the files of shell steps are while they run. Each attempt has a folder of its own
 * (attempt-files.ts). The files of a step with secrets are in memory (`/dev/shm`), so that no disk
 * holds a value, even if the machine loses power. The runner's guard removes them with all else
 * that the runner leaves.
 *
 * A step may remove the folders above its own, and other runners and daemons use them too. So they
 * are made when they are needed, and again when they are gone.
 */
import { lstatSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../../disk/disk-error.ts";
import { makeFolder } from "../../../disk/make-folder.ts";
import { AttemptFiles } from "./attempt-files.ts";
import type { Guard } from "./guard.ts";

const MEMORY = "/dev/shm";

/** The scratch folders of one runner. */
export class Scratch {
  readonly #folder: string;
  readonly #guard: Guard;
  /** The folder in memory and what it was when it was made. */
  #inMemory: { readonly path: string; readonly ino: number } | undefined;

  /** @param folder for files without secrets */
  constructor(folder: string, guard: Guard) {
    this.#folder = folder;
    this.#guard = guard;
  }

  /**
   * Makes the folder for the files of an attempt. Where it is depends on whether the step has
   * secrets.
   *
   * @throws a Node error if there is no room, or no right to make it
   */
  attempt({ secrets }: { readonly secrets?: readonly string[] | undefined }): AttemptFiles {
    const hasSecrets = secrets !== undefined && secrets.length > 0;
    return new AttemptFiles((hasSecrets ? this.#makeInMemory() : undefined) ?? this.#make());
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

/** Whether a folder is the one that was made: once it is removed, anybody can take its name. */
function isStill({ path, ino }: { readonly path: string; readonly ino: number }): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.ino === ino && stats.isDirectory() && stats.uid === process.geteuid?.();
}
