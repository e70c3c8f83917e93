/**
 * The machine's disk, which makes every call at once: a test on the virtual clock is then the same
 * each time. It can die: from some call on, every call fails, as if the process had been killed
 * there. The call in which it dies may be carried out, or half of it if it is a write.
 *
 * With `forgets` it dies as in a power cut. Bytes without an fdatasync after them are lost, or some
 * of them. Names in a folder that was not synced are lost, or some of them. (A name that was
 * removed or replaced stays so, and a folder that was made stays.)
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import type { Disk } from "../../src/disk/disk.ts";

/** A disk that can be made to die. */
export interface MortalDisk extends Disk {
  /** How many calls were made so far. */
  readonly calls: number;
  readonly dead: boolean;
  /** The number of the call in which it dies, from 1; undefined: never. */
  diesAt: number | undefined;
  /** Whether it dies as in a power cut. */
  forgets: boolean;
  /** Closes every open file. From now on every call fails. */
  die(): void;
}

export class SyncDisk implements MortalDisk {
  calls = 0;
  dead = false;
  diesAt: number | undefined;
  forgets = false;
  readonly #open = new Map<number, string>();
  /** By path, the shortest length that a power cut may leave: the length at the last sync. */
  readonly #unsynced: Map<string, number> = new Map();
  /** The names that are not synced. */
  readonly #unnamed: Set<string> = new Set();

  /**
   * @param before the disk of the previous process: what that process wrote and did not sync is
   *   still not durable
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
    // Bytes of the file that are written again become the old ones or the new ones, nothing else.
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
  fchmod(fd: number, mode: number): Promise<void> {
    return this.#call(() => fs.fchmodSync(fd, mode));
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

  /** Notes that the file has another name from now on. */
  #rename(from: string, to: string): void {
    const length = this.#unsynced.get(from);
    if (length !== undefined) this.#unsynced.set(to, length);
    for (const [fd, path] of this.#open) if (path === from) this.#open.set(fd, to);
  }

  #forget(): void {
    let turn = this.calls;
    for (const [path, length] of this.#unsynced) {
      const written = fs.statSync(path, { throwIfNoEntry: false })?.size;
      // Nothing, half or all of it has reached the disk.
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
