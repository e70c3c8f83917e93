/**
 * A disk that forgets. It makes every call at once on real files, so readers see what a page cache
 * would show. Beside them it keeps what the platter holds for certain: the bytes of a file at its
 * last good sync, and the names of a folder at the folder's last good sync. A power cut then leaves
 * a state that a real one may leave: of what was not synced, any part of a write, and the first of
 * the changes to a folder, any number of them.
 *
 * It fails as disks do. A sync that fails (EIO) marks the pages clean: readers see them, and they
 * never reach the platter unless they are written again. A full disk takes a part of a write. Every
 * call goes to `trace`, without names and numbers that differ from one process to the next.
 */
import * as fs from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { MortalDisk } from "./sync-disk.ts";

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly length: number };

/** A file, under one or more names. */
class Inode {
  durable = Buffer.alloc(0);
  pending: Change[] = [];

  sync(): void {
    for (const change of this.pending) this.apply(change);
    this.pending = [];
  }

  apply(change: Change): void {
    if ("length" in change) {
      const kept = Buffer.alloc(change.length);
      this.durable.copy(kept, 0, 0, Math.min(change.length, this.durable.length));
      this.durable = kept;
      return;
    }
    const end = change.at + change.bytes.length;
    const grown = Buffer.alloc(Math.max(this.durable.length, end));
    this.durable.copy(grown);
    change.bytes.copy(grown, change.at);
    this.durable = grown;
  }
}

/** A folder: its names, and the file or folder of each. */
class Folder {
  readonly names = new Map<string, Inode | Folder>();
  durable = new Map<string, Inode | Folder>();
  /** The states of the names since the last sync, oldest first. */
  since: Map<string, Inode | Folder>[] = [];

  changed(): void {
    this.since.push(new Map(this.names));
  }

  sync(): void {
    this.durable = new Map(this.names);
    this.since = [];
  }
}

/** What may go wrong besides death. Each is asked at every call. */
export interface DiskFaults {
  /** Whether this sync fails. */
  readonly syncFails: (path: string) => boolean;
  /** Whether there is no room for this write, link or folder. */
  readonly isFull: (path: string) => boolean;
}

/** What is on the disk when a daemon dies, and after a power cut. */
export class Platter {
  readonly root: Folder;
  readonly dir: string;
  readonly chance: () => number;
  readonly trace: (what: string) => void;

  /** @param dir an empty folder, which is durable from the start */
  constructor(dir: string, chance: () => number, trace: (what: string) => void) {
    this.dir = dir;
    this.chance = chance;
    this.trace = trace;
    this.root = new Folder();
  }

  /** Whether this disk decides what a power cut does to a path. */
  holds(path: string): boolean {
    const below = relative(this.dir, path);
    return !below.startsWith("..") && !below.startsWith(".orchd");
  }

  folder(path: string): Folder {
    const below = relative(this.dir, path);
    let folder = this.root;
    for (const name of below === "" ? [] : below.split("/")) {
      const next = folder.names.get(name);
      if (!(next instanceof Folder))
        throw Object.assign(new Error(`no folder ${path}`), { code: "ENOENT" });
      folder = next;
    }
    return folder;
  }

  inode(path: string): Inode | undefined {
    const found = this.folder(dirname(path)).names.get(basename(path));
    return found instanceof Inode ? found : undefined;
  }

  /** Notes that something else synced this file. */
  syncNow(path: string): void {
    if (fs.existsSync(path)) this.inode(path)?.sync();
  }

  /** Notes which files something else removed: they are gone for good. */
  noticeRemovals(): void {
    const walk = (folder: Folder, path: string): void => {
      for (const [name, there] of folder.names) {
        const child = join(path, name);
        if (!fs.existsSync(child)) {
          folder.names.delete(name);
          folder.durable.delete(name);
          for (const state of folder.since) state.delete(name);
        } else if (there instanceof Folder) walk(there, child);
      }
    };
    walk(this.root, this.dir);
  }

  /**
   * Cuts the power: a part of what was not synced is lost. The real files become what the machine
   * would find afterwards.
   */
  cut(): void {
    const settled = new Set<Inode>();
    const settle = (folder: Folder): void => {
      const states = [folder.durable, ...folder.since];
      const left = states[Math.floor(this.chance() * states.length)]!;
      folder.names.clear();
      for (const [name, there] of left) {
        folder.names.set(name, there);
        if (there instanceof Folder) settle(there);
        else if (!settled.has(there)) {
          settled.add(there);
          this.#tear(there);
        }
      }
      folder.sync();
    };
    settle(this.root);
    for (const name of fs.readdirSync(this.dir))
      if (name !== ".orchd") fs.rmSync(join(this.dir, name), { recursive: true });
    const made = new Map<Inode, string>();
    const make = (folder: Folder, path: string): void => {
      for (const [name, there] of folder.names) {
        const child = join(path, name);
        if (there instanceof Folder) {
          fs.mkdirSync(child);
          make(there, child);
        } else if (made.has(there)) fs.linkSync(made.get(there)!, child);
        else {
          fs.writeFileSync(child, there.durable);
          made.set(there, child);
        }
      }
    };
    make(this.root, this.dir);
  }

  /** Of each write that was not synced, keeps all, nothing, only its beginning or only its end. */
  #tear(inode: Inode): void {
    for (const change of inode.pending) {
      const fate = this.chance();
      if ("length" in change) {
        if (fate < 0.5) inode.apply(change);
        continue;
      }
      const part = Math.floor(this.chance() * change.bytes.length);
      if (fate < 0.25) inode.apply(change);
      else if (fate < 0.5) inode.apply({ at: change.at, bytes: change.bytes.subarray(0, part) });
      else if (fate < 0.6)
        inode.apply({ at: change.at + part, bytes: change.bytes.subarray(part) });
    }
    inode.pending = [];
  }
}

/** The disk of one daemon, over the platter. It dies with the daemon. */
export class ForgetfulDisk implements MortalDisk {
  calls = 0;
  dead = false;
  diesAt: number | undefined;
  /** Not used: the platter makes the power cuts. */
  forgets = false;
  readonly #platter: Platter;
  readonly #faults: DiskFaults;
  readonly #open = new Map<
    number,
    { readonly path: string; readonly what: Inode | Folder | undefined }
  >();

  constructor(platter: Platter, faults: DiskFaults, diesAt?: number) {
    this.#platter = platter;
    this.#faults = faults;
    this.diesAt = diesAt;
  }

  open(path: string, flags: string | number, mode?: number): Promise<number> {
    return this.#call("open", path, () => {
      const isNew = flags === "wx+";
      if (isNew) this.#room(path);
      const fd = fs.openSync(path, flags, mode);
      const held = this.#platter.holds(path);
      if (held && isNew) this.#name(path, new Inode());
      const what = !held
        ? undefined
        : fs.fstatSync(fd).isDirectory()
          ? this.#platter.folder(path)
          : this.#platter.inode(path);
      this.#open.set(fd, { path, what });
      return fd;
    });
  }
  write(fd: number, bytes: Uint8Array, offset: number, position: number): Promise<number> {
    const { path, what } = this.#open.get(fd)!;
    const put = (length: number): number => {
      const part = Buffer.from(bytes.subarray(offset, offset + length));
      if (what instanceof Inode) what.pending.push({ at: position, bytes: part });
      return fs.writeSync(fd, part, 0, length, position);
    };
    const length = bytes.byteLength - offset;
    const act = (): number => {
      if (!this.#faults.isFull(path)) return put(length);
      if (length > 1 && offset === 0) return put(length >> 1);
      throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    };
    return this.#call(`write ${length} at ${position}`, path, act, () => put(length >> 1));
  }
  fdatasync(fd: number): Promise<void> {
    return this.#sync("fdatasync", fd);
  }
  fsync(fd: number): Promise<void> {
    return this.#sync("fsync", fd);
  }
  fchmod(fd: number, mode: number): Promise<void> {
    return this.#call("fchmod", this.#open.get(fd)?.path ?? "", () => fs.fchmodSync(fd, mode));
  }
  ftruncate(fd: number, length: number): Promise<void> {
    const { path, what } = this.#open.get(fd)!;
    return this.#call(`ftruncate ${length}`, path, () => {
      if (what instanceof Inode) what.pending.push({ length });
      fs.ftruncateSync(fd, length);
    });
  }
  close(fd: number): Promise<void> {
    return this.#call("close", this.#open.get(fd)?.path ?? "", () => {
      this.#open.delete(fd);
      fs.closeSync(fd);
    });
  }
  link(existing: string, path: string): Promise<void> {
    return this.#call("link", path, () => {
      this.#room(path);
      fs.linkSync(existing, path);
      if (this.#platter.holds(path)) this.#name(path, this.#platter.inode(existing)!);
    });
  }
  rename(from: string, to: string): Promise<void> {
    return this.#call("rename", to, () => {
      fs.renameSync(from, to);
      if (!this.#platter.holds(to)) return;
      const folder = this.#platter.folder(dirname(to));
      folder.names.set(basename(to), this.#platter.inode(from)!);
      folder.names.delete(basename(from));
      folder.changed();
    });
  }
  unlink(path: string): Promise<void> {
    return this.#call("unlink", path, () => {
      fs.unlinkSync(path);
      if (!this.#platter.holds(path)) return;
      const folder = this.#platter.folder(dirname(path));
      folder.names.delete(basename(path));
      folder.changed();
    });
  }
  mkdir(path: string): Promise<void> {
    return this.#call("mkdir", path, () => {
      this.#room(path);
      fs.mkdirSync(path);
      if (this.#platter.holds(path)) this.#name(path, new Folder());
    });
  }

  /** Closes every open file. From now on every call fails. */
  die(): void {
    this.dead = true;
    for (const fd of this.#open.keys()) fs.closeSync(fd);
    this.#open.clear();
  }

  #name(path: string, what: Inode | Folder): void {
    const folder = this.#platter.folder(dirname(path));
    folder.names.set(basename(path), what);
    folder.changed();
  }

  #room(path: string): void {
    if (this.#faults.isFull(path))
      throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
  }

  #sync(name: string, fd: number): Promise<void> {
    const { path, what } = this.#open.get(fd)!;
    return this.#call(name, path, () => {
      if (this.#faults.syncFails(path)) {
        if (what instanceof Inode) what.pending = [];
        throw Object.assign(new Error("input/output error"), { code: "EIO" });
      }
      what?.sync();
    });
  }

  #call<T>(name: string, path: string, act: () => T, half: () => unknown = act): Promise<T> {
    try {
      this.calls += 1;
      if (!this.dead && this.calls === this.diesAt) {
        this.#tell(`dies in ${name}`, path);
        if (this.calls % 2 === 0) half();
        this.die();
      }
      if (this.dead) throw Object.assign(new Error("the process was killed"), { code: "EKILLED" });
      const result = act();
      this.#tell(name, path);
      return Promise.resolve(result);
    } catch (error) {
      if (!this.dead)
        this.#tell(`${name} fails with ${(error as NodeJS.ErrnoException).code}`, path);
      return Promise.reject(error);
    }
  }

  #tell(what: string, path: string): void {
    // A dot-name holds the pid of this process.
    this.#platter.trace(
      `${what} ${relative(this.#platter.dir, path).replace(/\.jsonl\.\d+-\d+$/, ".jsonl.aside")}`,
    );
  }
}
