/**
 * The machine's disk with every call made at once, so that a test on the virtual clock is the same
 * each time; and one that dies: from some call on, every call fails, as if the process had been
 * killed there. The call it dies in may be carried out, or, if it is a write, half of it.
 *
 * With `forgets` it dies as in a power cut: bytes that no fdatasync followed are gone, or some of
 * them, and names whose folder was not synced are gone, or some of them. (A name that was taken
 * away or replaced, and a folder that was made, stay so.)
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import type { Disk } from "../../src/disk/disk.ts";

/** A disk that can be made to die. */
export interface MortalDisk extends Disk {
  /** How many calls were made. */
  readonly calls: number;
  readonly dead: boolean;
  /** The call, from 1, in which it dies; undefined: never. */
  diesAt: number | undefined;
  /** It dies as in a power cut. */
  forgets: boolean;
  /** From now on nothing works any more; what is open is closed. */
  die(): void;
}

export class SyncDisk implements MortalDisk {
  calls = 0;
  dead = false;
  diesAt: number | undefined;
  forgets = false;
  readonly #open = new Map<number, string>();
  /**
   * The shortest length that a file may be cut to: what it had when it was synced last. By path.
   */
  readonly #unsynced: Map<string, number> = new Map();
  /** Names that are not synced. */
  readonly #unnamed: Set<string> = new Set();

  /**
   * @param before the disk of the process before: what it wrote and did not sync is still not
   *   durable
   */
  constructor(
    options: {
      readonly diesAt?: number;
      readonly forgets?: boolean;
      readonly before?: SyncDisk;
    } = {},
  ) {
    const { diesAt, forgets = false, before } = options;
    this.diesAt = diesAt;
    this.forgets = forgets;
    if (before === undefined) return;
    this.#unsynced = new Map(before.#unsynced);
    this.#unnamed = new Set(before.#unnamed);
  }

  open(path: string, flags: string | number, mode?: number): Promise<number> {
    return this.#call(() => {
      const fd = fs.openSync(path, flags, mode);
      this.#open.set(fd, path);
      if (typeof flags === "string" && flags.startsWith("w")) this.#unnamed.add(path);
      return fd;
    });
  }
  write(fd: number, bytes: Uint8Array, offset: number, position: number): Promise<number> {
    const length = bytes.byteLength - offset;
    const path = this.#open.get(fd);
    // Bytes that were there and are written again are the old ones or the new ones, whatever
    // happens.
    if (path !== undefined && !this.dead && !this.#unsynced.has(path))
      this.#unsynced.set(path, fs.fstatSync(fd).size);
    return this.#call(
      () => fs.writeSync(fd, bytes, offset, length, position),
      () => fs.writeSync(fd, bytes, offset, Math.floor(length / 2), position),
    );
  }
  fdatasync(fd: number): Promise<void> {
    return this.#call(() => void this.#unsynced.delete(this.#open.get(fd)!));
  }
  fsync(fd: number): Promise<void> {
    return this.#call(() => {
      const path = this.#open.get(fd)!;
      this.#unsynced.delete(path);
      for (const name of this.#unnamed) if (dirname(name) === path) this.#unnamed.delete(name);
    });
  }
  ftruncate(fd: number, length: number): Promise<void> {
    return this.#call(() => {
      fs.ftruncateSync(fd, length);
      const path = this.#open.get(fd)!;
      const synced = this.#unsynced.get(path);
      if (synced !== undefined) this.#unsynced.set(path, Math.min(synced, length));
    });
  }
  close(fd: number): Promise<void> {
    return this.#call(() => {
      this.#open.delete(fd);
      fs.closeSync(fd);
    });
  }
  link(existing: string, path: string): Promise<void> {
    return this.#call(() => {
      fs.linkSync(existing, path);
      this.#unnamed.add(path);
      this.#rename(existing, path);
    });
  }
  rename(from: string, to: string): Promise<void> {
    return this.#call(() => {
      fs.renameSync(from, to);
      this.#rename(from, to);
    });
  }
  unlink(path: string): Promise<void> {
    return this.#call(() => {
      fs.unlinkSync(path);
      this.#unnamed.delete(path);
    });
  }
  mkdir(path: string): Promise<void> {
    return this.#call(() => fs.mkdirSync(path));
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    for (const fd of this.#open.keys()) fs.closeSync(fd);
    this.#open.clear();
    if (this.forgets) this.#forget();
  }

  /** The file is written to under another name from now on. */
  #rename(from: string, to: string): void {
    const length = this.#unsynced.get(from);
    if (length !== undefined) this.#unsynced.set(to, length);
    for (const [fd, path] of this.#open) if (path === from) this.#open.set(fd, to);
  }

  #forget(): void {
    let turn = this.calls;
    for (const [path, length] of this.#unsynced) {
      const written = fs.statSync(path, { throwIfNoEntry: false })?.size;
      // Nothing of it, half of it, or all of it had reached the disk.
      if (written !== undefined && written > length)
        fs.truncateSync(path, length + Math.floor(((written - length) * ((turn += 1) % 3)) / 2));
    }
    for (const path of this.#unnamed) if ((turn += 1) % 2 === 0) fs.rmSync(path, { force: true });
    this.#unsynced.clear();
    this.#unnamed.clear();
  }

  #call<T>(act: () => T, half: () => unknown = act): Promise<T> {
    try {
      this.calls += 1;
      if (!this.dead && this.calls === this.diesAt) {
        if (this.calls % 2 === 0) half();
        this.die();
      }
      if (this.dead) throw Object.assign(new Error("the process was killed"), { code: "EKILLED" });
      return Promise.resolve(act());
    } catch (error) {
      return Promise.reject(error);
    }
  }
}
