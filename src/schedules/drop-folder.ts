/**
 * The drop folder: which pipeline files there are, and which have changed.
 *
 * States: idle -> (event) dirty -> (quiet) scanning -> telling -> idle. One rescan runs at a time.
 * A caller that asks for a rescan meanwhile gets the next one.
 *
 * Watchers lose events silently (an overflowing queue, a folder that is removed and made again,
 * links that are flipped elsewhere). So an event means only "look", and looking is a rescan: it
 * compares every file's inode, size, times, owner and mode with the last look, and the content's
 * hash where these differ. If the folder's own owner or mode differs, every file counts as changed.
 * A rescan begins 60 ms after the last event, at the latest 400 ms after
 * the first. Without any event it begins every 15 s: promise 20 rests on that.
 *
 * chokidar watches the drop folder, its parent (which sees the folder come and go) and the folders
 * of modules. Only its `raw` events are used (folder-watcher.ts). An event that names a plain file
 * which no pipeline is made from asks for nothing: a root may have a log beside its drop folder,
 * and steps write data beside their modules.
 *
 * Two races are closed. A file that was written within the last two seconds may be written again
 * within one tick of its time: the next look compares its hash. A module that was written while its
 * pipeline was being loaded makes the pipeline count as changed again.
 *
 * A missing file counts as removed only if it is still missing 200 ms later, and a missing folder
 * after a second: editors and deployments remove files and make them again. If the folder cannot be
 * read at all, what was known stays.
 */
import { lstatSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { FSWatcher } from "chokidar";
import type { Clock, Timer } from "../clock.ts";
import { hashOf, lookAgain, sightOf, YOUNG_MS, type Sight } from "./file-sight.ts";
import { closeWatcher, watchFolder } from "./folder-watcher.ts";
import { isPipelineFileName } from "../core/pipeline-file-name.ts";
import { PipelineNames } from "./pipeline-names.ts";

/** What a rescan found: absolute paths, in the order of their names. */
export interface DropFolderChanges {
  /** New files, changed files, and files with a changed module. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Files that are gone and do not count as removed yet. */
  readonly missing: readonly string[];
}

/** What a drop folder needs. */
export interface DropFolderOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** Takes what changed. It is awaited before the next rescan. */
  onChange(changes: DropFolderChanges): Promise<void> | void;
  /**
   * Takes what went wrong while watching or telling; the folder goes on. A trouble that persists in
   * the same way is told once.
   */
  onError?(error: unknown, what: string): void;
}

const QUIET_MS = 60;
const LONGEST_QUIET_MS = 400;
const RESCAN_MS = 15_000;
const FILE_GONE_MS = 200;
const FOLDER_GONE_MS = 1_000;
/** How long to wait before a folder that twice could not be watched is tried again. */
const BLIND_MS = 1_000;
/** How many files are looked at before the event loop gets a turn. */
const FILES_AT_ONCE = 200;
const READING = "reading the drop folder";
/** How many folders are watched. The modules of further folders are left to the rescan. */
const MAX_WATCHED_FOLDERS = 256;

/** Watches a folder of pipeline files. */
export class DropFolder {
  readonly #dir: string;
  readonly #options: DropFolderOptions;
  readonly #names: PipelineNames;
  readonly #files = new Map<string, Sight>();
  /** The folder's owner and mode at the last look. */
  #rights: string | undefined;
  readonly #goneSince = new Map<string, number>();
  #folderGoneSince: number | undefined;
  /** For each pipeline file the modules and other files that it was made from. */
  readonly #followed = new Map<string, readonly string[]>();
  readonly #modules = new Map<string, Sight>();
  /** Pipeline files that count as changed at the next rescan. */
  readonly #again = new Set<string>();
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: bigint }>();
  /** Fires when no event has come for a while. */
  #quiet: Timer | undefined;
  /** Fires when something must be looked at again; only the earliest time is kept. */
  #later: { readonly timer: Timer; readonly at: number } | undefined;
  #periodic: Timer | undefined;
  #dirtySince: number | undefined;
  /** The next rescan, if one was asked for. */
  #pending: { asked: boolean; readonly done: Promise<void> } | undefined;
  #tail: Promise<void> = Promise.resolve();
  #toldAt = 0;
  /** Whether `#modules` may hold some that no pipeline needs any more. */
  #stale = false;
  /** What fails, and with which code, so that it is told once. */
  readonly #troubles = new Map<string, string>();
  #closed = false;

  constructor(options: DropFolderOptions) {
    this.#options = options;
    this.#dir = resolve(options.dir);
    this.#names = new PipelineNames(this.#dir);
  }

  /** Begins to watch. Resolves when every file of the folder was told. */
  async start(): Promise<void> {
    this.#watchFolders();
    await this.rescan();
  }

  /**
   * Looks at every file now; a missing file counts as removed at once. Resolves when what changed
   * was told. Must not be awaited within `onChange`: the rescan waits for it.
   */
  rescan(): Promise<void> {
    return this.#request(true);
  }

  /**
   * Names the files that a pipeline file was made from: a change of one of them counts as a change
   * of the pipeline file. Call it after each load, a failed one too.
   *
   * @param since when the load began, in milliseconds since 1970; default: when the last rescan
   *   began
   */
  follow(file: string, watched: readonly string[], since: number = this.#toldAt): void {
    if (this.#closed) return;
    const own = watched.filter((path) => path !== file);
    if (own.length === 0) this.#followed.delete(file);
    else this.#followed.set(file, own);
    for (const path of own) {
      let sight = this.#modules.get(path);
      if (sight === undefined) {
        sight = sightOf(path);
        if (sight.young) sight.hash = hashOf(path);
        const folder = dirname(path);
        if (!this.#watchers.has(folder) && this.#watchers.size < MAX_WATCHED_FOLDERS)
          this.#watchFolder(folder);
      }
      this.#modules.set(path, sight);
      // If it was written since the load began, what was loaded may be older. A file's time comes
      // from the machine's clock, so `since` does too.
      if (sight.print !== "" && Number(sight.print.split(" ")[4]) / 1e6 >= since - 20)
        this.#again.add(file);
    }
    this.#stale = true;
    if (this.#again.has(file)) this.#dirty();
  }

  /** The pipeline files of the last rescan: absolute paths, in the order of their names. */
  get pipelineFiles(): readonly string[] {
    return [...this.#files.keys()].sort(byText);
  }

  /** Stops watching. Resolves when a rescan that is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#quiet?.cancel();
    this.#later?.timer.cancel();
    this.#periodic?.cancel();
    await Promise.all([...this.#watchers.values()].map(({ watcher }) => closeWatcher(watcher)));
    this.#watchers.clear();
    await this.#tail;
  }

  /** Something may have changed: asks for a rescan when it has been quiet for a while. */
  #dirty(): void {
    if (this.#closed) return;
    const now = this.#options.clock.monotonic();
    this.#dirtySince ??= now;
    this.#quiet?.cancel();
    this.#quiet = this.#options.clock.after(
      Math.max(0, Math.min(QUIET_MS, this.#dirtySince + LONGEST_QUIET_MS - now)),
      () => void this.#request(false),
    );
  }

  #lookIn(milliseconds: number): void {
    const at = this.#options.clock.monotonic() + milliseconds;
    if (this.#closed || (this.#later !== undefined && this.#later.at <= at)) return;
    this.#later?.timer.cancel();
    const timer = this.#options.clock.after(milliseconds, () => {
      this.#later = undefined;
      void this.#request(false);
    });
    this.#later = { timer, at };
  }

  /** Asks for a rescan. Rescans run one after another; callers share the one that waits. */
  #request(asked: boolean): Promise<void> {
    if (this.#pending !== undefined) {
      this.#pending.asked ||= asked;
      return this.#pending.done;
    }
    const done = this.#runNext(this.#tail);
    this.#pending = { asked, done };
    this.#tail = done;
    return done;
  }

  async #runNext(before: Promise<void>): Promise<void> {
    await before;
    const { asked } = this.#pending!;
    this.#pending = undefined;
    if (this.#closed) return;
    this.#dirtySince = undefined;
    this.#quiet?.cancel();
    this.#periodic?.cancel();
    try {
      await this.#scan(asked);
    } catch (error) {
      this.#options.onError?.(error, "rescan");
    }
    if (!this.#closed)
      this.#periodic = this.#options.clock.after(RESCAN_MS, () => void this.#request(false));
  }

  async #scan(asked: boolean): Promise<void> {
    const began = Date.now();
    this.#forgetModules();
    this.#watchFolders();
    const paths = await this.#list(asked);
    if (paths === undefined) return;
    const changed = new Set<string>(this.#again);
    this.#again.clear();
    // Who may write the folder decides whether its files are safe to run.
    const rights = rightsOf(this.#dir);
    if (rights !== this.#rights) for (const path of this.#files.keys()) changed.add(path);
    this.#rights = rights;
    let young = false;
    let count = 0;
    const breathe = async (): Promise<void> => {
      if (++count % FILES_AT_ONCE === 0) await new Promise((resume) => setImmediate(resume));
    };
    for (const path of paths) {
      const before = this.#files.get(path);
      const now = lookAgain(path, before);
      // A file that was missing is told even if it is the same again: others may have been told of
      // its absence.
      if (now.changed || this.#goneSince.has(path)) changed.add(path);
      young ||= now.sight.young;
      if (now.sight !== before) this.#files.set(path, now.sight);
      await breathe();
    }
    const touched = new Set<string>();
    for (const [path, before] of this.#modules) {
      const now = lookAgain(path, before);
      if (now.changed) touched.add(path);
      young ||= now.sight.young;
      if (now.sight !== before) this.#modules.set(path, now.sight);
      await breathe();
    }
    if (touched.size > 0)
      for (const [file, made] of this.#followed)
        if (made.some((path) => touched.has(path))) changed.add(file);
    const removed = this.#takeRemoved(new Set(paths), asked);
    for (const file of removed) changed.delete(file);
    if (young) this.#lookIn(YOUNG_MS);
    this.#toldAt = began;
    const there = [...changed].filter((file) => this.#files.has(file)).sort(byText);
    if (this.#closed || (there.length === 0 && removed.length === 0)) return;
    try {
      const missing = [...this.#goneSince.keys()];
      await this.#options.onChange({ changed: there, removed, missing });
    } catch (error) {
      this.#options.onError?.(error, "onChange");
    }
  }

  /** The folder's pipeline files; undefined if nothing can be said about them. */
  async #list(asked: boolean): Promise<string[] | undefined> {
    try {
      const names = await this.#names.list();
      this.#troubles.delete(READING);
      this.#folderGoneSince = undefined;
      // Joined once, and not for each name: that takes microseconds.
      const before = join(this.#dir, "x").slice(0, -1);
      return names.map((name) => before + name).sort(byText);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENOTDIR") {
        this.#trouble(READING, error);
        return undefined;
      }
      const now = this.#options.clock.monotonic();
      this.#folderGoneSince ??= now;
      if (asked || now - this.#folderGoneSince >= FOLDER_GONE_MS) return [];
      this.#lookIn(FOLDER_GONE_MS);
      return undefined;
    }
  }

  #takeRemoved(there: ReadonlySet<string>, asked: boolean): string[] {
    const now = this.#options.clock.monotonic();
    const removed: string[] = [];
    for (const path of this.#goneSince.keys()) if (there.has(path)) this.#goneSince.delete(path);
    for (const path of this.#files.keys()) {
      if (there.has(path)) continue;
      const since = this.#goneSince.get(path) ?? now;
      this.#goneSince.set(path, since);
      // A missing folder has had its second already.
      if (asked || this.#folderGoneSince !== undefined || now - since >= FILE_GONE_MS)
        removed.push(path);
      else this.#lookIn(FILE_GONE_MS);
    }
    for (const path of removed) {
      this.#files.delete(path);
      this.#goneSince.delete(path);
      this.#followed.delete(path);
    }
    if (removed.length > 0) this.#stale = true;
    return removed.sort(byText);
  }

  /** Forgets the modules that no pipeline is made from any more. */
  #forgetModules(): void {
    if (!this.#stale) return;
    this.#stale = false;
    const needed = new Set([...this.#followed.values()].flat());
    for (const path of this.#modules.keys()) if (!needed.has(path)) this.#modules.delete(path);
  }

  /** Watches each folder that matters; a folder that was made again gets a new watcher. */
  #watchFolders(): void {
    if (this.#closed) return;
    const wanted = new Set([this.#dir, dirname(this.#dir)]);
    for (const path of this.#modules.keys()) {
      if (wanted.size >= MAX_WATCHED_FOLDERS) break;
      wanted.add(dirname(path));
    }
    for (const [folder, { watcher, inode }] of this.#watchers) {
      if (wanted.has(folder) && inodeOf(folder) === inode) continue;
      void closeWatcher(watcher);
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) if (!this.#watchers.has(folder)) this.#watchFolder(folder);
  }

  /** Whether an event can change what a rescan finds. @param name undefined: it is not known */
  #matters(folder: string, name: string | null | undefined): boolean {
    if (name === null || name === undefined) return true;
    const path = join(folder, name);
    if (this.#modules.has(path) || (folder === this.#dir && isPipelineFileName(name))) return true;
    try {
      // Folders and links may be on the way to a file. What is gone may have been one of them.
      return lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true;
    } catch {
      return true;
    }
  }

  #watchFolder(folder: string): void {
    const inode = inodeOf(folder);
    if (inode === undefined) return;
    const watching = `watching ${folder}`;
    try {
      const watcher = watchFolder(folder);
      watcher.on("raw", (_, name: string | null | undefined) => {
        if (this.#matters(folder, name)) this.#dirty();
      });
      // It watches only from now on: what happened before has to be looked for.
      watcher.on("ready", () => {
        this.#troubles.delete(watching);
        this.#dirty();
      });
      watcher.on("error", (error) => {
        void closeWatcher(watcher);
        this.#watchers.delete(folder);
        if (this.#trouble(watching, error)) this.#dirty();
        else this.#lookIn(BLIND_MS);
      });
      this.#watchers.set(folder, { watcher, inode });
    } catch (error) {
      // No watches are left, or the folder is gone again: the rescan every 15 s remains.
      this.#trouble(watching, error);
    }
  }

  /** Tells what went wrong, unless it is the same as before. @returns whether it was told */
  #trouble(what: string, error: unknown): boolean {
    const how = (error as NodeJS.ErrnoException).code ?? String(error);
    if (this.#troubles.get(what) === how) return false;
    this.#troubles.set(what, how);
    this.#options.onError?.(error, what);
    return true;
  }
}

function inodeOf(folder: string): bigint | undefined {
  try {
    return statSync(folder, { bigint: true, throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}

function rightsOf(folder: string): string | undefined {
  try {
    const stats = statSync(folder, { throwIfNoEntry: false });
    return stats === undefined ? undefined : `${stats.uid} ${stats.gid} ${stats.mode}`;
  } catch {
    return undefined;
  }
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
