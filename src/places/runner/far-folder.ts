/**
 * The folder of a far runner: `bundles/` and `artifacts/`, which come by hash from the daemon,
 * `scratch/` for the files of steps, and `node_modules/orchd`, a link by which bundles find this
 * package.
 *
 * A file comes in pieces, is written aside, and gets its name once its sha256 is right. Several
 * runners may have the same folder. Files that nobody used for a while are removed as one starts.
 */
import { createHash, randomBytes, type Hash } from "node:crypto";
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { utimesSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DAY_MS } from "../../core/time.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import { namesIn } from "../../disk/names-in.ts";
import { FAR_FOLDERS } from "../pool/far-tasks.ts";
import type { FromFar, ToFar } from "../pool/wire.ts";

/** How long a file is kept that nobody uses, in milliseconds. */
const UNUSED_MS = 7 * DAY_MS;
/** Above this, in bytes, one that was not used for a day goes too. */
const FULL_BYTES = 4 * 1024 ** 3;
/** What a file may be called: the daemon names it, and must not name another folder. */
const NAME = /^(?:bundles\/[\w-][\w.-]*\.mjs(?:\.map)?|artifacts\/[0-9a-f]{64})$/;

interface Arriving {
  readonly path: string;
  readonly descriptor: number;
  readonly hash: Hash;
}

/** Keeps the files of one far runner. */
export class FarFolder {
  readonly folder: string;
  readonly #arriving = new Map<string, Arriving>();
  /** Why a file could not be written whose last piece has not come yet. */
  readonly #faults = new Map<string, string>();

  /** @param folder as an absolute path. @throws a Node error if it cannot be made */
  constructor(folder: string) {
    this.folder = folder;
    for (const each of Object.values(FAR_FOLDERS)) makeFolder(join(folder, each), 0o700);
  }

  /** Answers whether a file is there, and whole. */
  need({ name, hash }: Extract<ToFar, { type: "need" }>): FromFar {
    if (!NAME.test(name)) return refused(name);
    const path = join(this.folder, name);
    try {
      if (createHash("sha256").update(readFileSync(path)).digest("hex") !== hash)
        return { type: "lacks", name };
      const now = Date.now() / 1_000;
      utimesSync(path, now, now);
      return { type: "has", name };
    } catch {
      return { type: "lacks", name };
    }
  }

  /** Takes a piece of a file. @returns what is answered to the last one */
  put({ name, hash, data, last }: Extract<ToFar, { type: "put" }>): FromFar | undefined {
    if (!NAME.test(name)) return last ? refused(name) : undefined;
    const fault = this.#faults.get(name);
    if (fault !== undefined) return last ? this.#cannot(name, fault) : undefined;
    try {
      let arriving = this.#arriving.get(name);
      if (arriving === undefined) this.#arriving.set(name, (arriving = this.#begin(name)));
      const bytes = Buffer.from(data, "base64");
      for (let written = 0; written < bytes.length;)
        written += writeSync(arriving.descriptor, bytes, written);
      arriving.hash.update(bytes);
      if (!last) return undefined;
      this.#arriving.delete(name);
      closeSync(arriving.descriptor);
      if (arriving.hash.digest("hex") !== hash) {
        rmSync(arriving.path, { force: true });
        return { type: "cannot", name, because: `the file ${name} did not arrive whole` };
      }
      this.#name(arriving.path, name);
      return { type: "has", name };
    } catch (error) {
      this.#drop(name);
      const fault = (error as Error).message;
      if (last) return this.#cannot(name, fault);
      this.#faults.set(name, fault);
      return undefined;
    }
  }

  #cannot(name: string, fault: string): FromFar {
    this.#faults.delete(name);
    return { type: "cannot", name, because: `its files cannot be written over there: ${fault}` };
  }

  /** Removes files that nobody used for long. Never throws. */
  tidy(): void {
    for (const each of [FAR_FOLDERS.bundles, FAR_FOLDERS.artifacts]) {
      const found = namesIn(join(this.folder, each)).flatMap((name) => {
        const path = join(this.folder, each, name);
        const stats = statSync(path, { throwIfNoEntry: false });
        if (stats === undefined) return [];
        return [{ path, age: Date.now() - stats.mtimeMs, size: stats.size }];
      });
      const size = found.reduce((sum, file) => sum + file.size, 0);
      for (const { path, age } of found)
        if (age > UNUSED_MS || (size > FULL_BYTES && age > DAY_MS)) rmSync(path, { force: true });
    }
  }

  #begin(name: string): Arriving {
    const path = join(this.folder, `${name}.${randomBytes(6).toString("hex")}.part`);
    return { path, descriptor: openSync(path, "wx", 0o600), hash: createHash("sha256") };
  }

  /** @throws a Node error, and then nothing is left of it */
  #name(path: string, name: string): void {
    try {
      renameSync(path, join(this.folder, name));
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }

  #drop(name: string): void {
    const arriving = this.#arriving.get(name);
    if (arriving === undefined) return;
    this.#arriving.delete(name);
    try {
      closeSync(arriving.descriptor);
      rmSync(arriving.path, { force: true });
    } catch {
      // The next runner removes it.
    }
  }
}

function refused(name: string): FromFar {
  return { type: "cannot", name, because: `${name} is no name of a bundle or an artifact` };
}
