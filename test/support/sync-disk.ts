/**
 * The machine's disk with every call made at once, so that a test on the virtual clock is the same each time; and one that dies: from some call on,
 * every call fails, as if the process had been killed there. The call it dies in may be carried out, or, if it is a write, half of it.
 */
import * as fs from "node:fs";
import type { Disk } from "../../src/ledger/disk.ts";

export class SyncDisk implements Disk {
  /** How many calls were made. */
  calls = 0;
  dead = false;
  /** The call, from 1, in which it dies; undefined: never. */
  diesAt: number | undefined;
  readonly #open = new Set<number>();

  constructor(diesAt?: number) {
    this.diesAt = diesAt;
  }

  open(path: string, flags: string | number, mode?: number): Promise<number> {
    return this.#call(() => {
      const fd = fs.openSync(path, flags, mode);
      this.#open.add(fd);
      return fd;
    });
  }
  write(fd: number, bytes: Uint8Array, offset: number, position: number): Promise<number> {
    const length = bytes.byteLength - offset;
    return this.#call(
      () => fs.writeSync(fd, bytes, offset, length, position),
      () => fs.writeSync(fd, bytes, offset, Math.floor(length / 2), position),
    );
  }
  fdatasync(_fd: number): Promise<void> {
    return this.#call(() => undefined);
  }
  fsync(_fd: number): Promise<void> {
    return this.#call(() => undefined);
  }
  ftruncate(fd: number, length: number): Promise<void> {
    return this.#call(() => fs.ftruncateSync(fd, length));
  }
  close(fd: number): Promise<void> {
    return this.#call(() => {
      this.#open.delete(fd);
      fs.closeSync(fd);
    });
  }
  link(existing: string, path: string): Promise<void> {
    return this.#call(() => fs.linkSync(existing, path));
  }
  rename(from: string, to: string): Promise<void> {
    return this.#call(() => fs.renameSync(from, to));
  }
  unlink(path: string): Promise<void> {
    return this.#call(() => fs.unlinkSync(path));
  }
  mkdir(path: string): Promise<void> {
    return this.#call(() => fs.mkdirSync(path));
  }

  /** From now on nothing works any more; what is open is closed. */
  die(): void {
    this.dead = true;
    for (const fd of this.#open) fs.closeSync(fd);
    this.#open.clear();
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
