/**
 * The drop folder: which pipeline files there are, and which have changed.
 *
 * Watchers lose events without a word (an overflowing queue, a folder removed and made again, links
 * flipped elsewhere), so an event here means only "look". Looking is a rescan: every file's inode,
 * size, times, owner and mode against the last time, and where these differ the content's hash. A
 * rescan follows 60 ms after the last event (at the latest 400 ms after the first), and in any case
 * every 15 s, which is what promise 20 rests on. chokidar watches the drop folder, its parent
 * (which sees it come and go) and the folders of modules. It is told to pass over the files in them
 * and is asked for its `raw` events: so it keeps one inotify watch a folder, and does not stat each
 * file only to say what the rescan finds out anyway.
 *
 * Two races are closed. A file that was written within the last two seconds may be written again
 * within the same tick of its time: it is looked at again by its hash. A module that was written
 * while its pipeline was being loaded makes the pipeline count as changed once more.
 *
 * A file that is gone counts as removed only if it still is 200 ms later, and the whole folder
 * after a second: editors and deployments remove and make again. Where the folder cannot be read at
 * all, what was known stays.
 *
 * States: idle -> (event) dirty -> (quiet) scanning -> telling -> idle. One rescan runs at a time;
 * who asks for one meanwhile gets the next.
 */
import { readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { watch, type FSWatcher } from "chokidar";
import type { Clock, Timer } from "../clock.ts";
import { hashOf, lookAgain, sightOf, YOUNG_MS, type Sight } from "./file-sight.ts";
import { isPipelineFileName } from "../core/pipeline-file-name.ts";

export { isPipelineFileName };

/** What a rescan found. Absolute paths, in the order of their names. */
export interface DropFolderChanges {
  /** New files, changed ones, and ones of whose modules one has changed. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What a drop folder needs. */
export interface DropFolderOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** Told of what changed, and awaited before the next rescan. */
  onChange(changes: DropFolderChanges): Promise<void> | void;
  /**
   * Told of what went wrong while watching or telling; the folder goes on. What goes on failing in
   * the same way is told once.
   */
  onError?(error: unknown, what: string): void;
}

const QUIET_MS = 60;
const LONGEST_QUIET_MS = 400;
const RESCAN_MS = 15_000;
const FILE_GONE_MS = 200;
const FOLDER_GONE_MS = 1_000;
/** Before what cannot be watched is tried again, once it has failed twice. */
const BLIND_MS = 1_000;
/** Between two breaths of the event loop. */
const FILES_AT_ONCE = 200;
const READING = "reading the drop folder";
/** Folders of modules beyond these are left to the rescan. */
const MAX_WATCHED_FOLDERS = 256;

/** Watches a folder of pipeline files. */
export class DropFolder {
  readonly #dir: string;
  readonly #options: DropFolderOptions;
  readonly #files = new Map<string, Sight>();
  readonly #goneSince = new Map<string, number>();
  #folderGoneSince: number | undefined;
  /** The modules and other files that each pipeline file was made from. */
  readonly #followed = new Map<string, readonly string[]>();
  readonly #modules = new Map<string, Sight>();
  /** Pipeline files that count as changed at the next rescan. */
  readonly #again = new Set<string>();
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: bigint }>();
  /** Fires once events have been quiet for a while. */
  #quiet: Timer | undefined;
  /** Fires for what must be looked at again in a while; the earliest such time counts. */
  #later: { readonly timer: Timer; readonly at: number } | undefined;
  #periodic: Timer | undefined;
  #dirtySince: number | undefined;
  /** The rescan that is to come, if one was asked for. */
  #pending: { asked: boolean; readonly done: Promise<void> } | undefined;
  #tail: Promise<void> = Promise.resolve();
  #toldAt = 0;
  /** Some of `modules` may be needed by no pipeline any more. */
  #stale = false;
  /** What fails, and how, so that it is told once. */
  readonly #troubles = new Map<string, string>();
  #closed = false;

  constructor(options: DropFolderOptions) {
    this.#options = options;
    this.#dir = resolve(options.dir);
  }

  /**
   * Reads the folder for the first time, tells of every file in it, and watches it from then on.
   */
  async start(): Promise<void> {
    this.#watchFolders();
    await this.rescan();
  }

  /**
   * Looks at every file now. Resolves once what changed was told, whatever was under way before;
   * what is gone counts as removed at once. Not to be awaited within `onChange`.
   */
  rescan(): Promise<void> {
    return this.#request(true);
  }

  /**
   * Names the files that a pipeline file was made from; a change of one of them counts as a change
   * of it. Call it after each load, failed ones too.
   *
   * @param since when the load began, where it outlasted the telling: wall time in milliseconds
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
      // Written since the load began: what was loaded may be older. File times are the machine's,
      // so they are held against its clock.
      if (sight.print !== "" && Number(sight.print.split(" ")[4]) / 1e6 >= since - 20)
        this.#again.add(file);
    }
    this.#stale = true;
    if (this.#again.has(file)) this.#dirty();
  }

  /** The pipeline files that were there at the last rescan, in the order of their names. */
  get pipelineFiles(): readonly string[] {
    return [...this.#files.keys()].sort(byText);
  }

  /** Ends the watching; resolves once a rescan that is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#quiet?.cancel();
    this.#later?.timer.cancel();
    this.#periodic?.cancel();
    await Promise.all([...this.#watchers.values()].map(({ watcher }) => letGo(watcher)));
    this.#watchers.clear();
    await this.#tail;
  }

  /** Something may have changed: looks once it has been quiet for a while. */
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

  /** Rescans one after another; who asks while one is waiting shares it. */
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
    const paths = this.#list(asked);
    if (paths === undefined) return;
    const changed = new Set<string>(this.#again);
    this.#again.clear();
    let young = false;
    let count = 0;
    const breathe = async (): Promise<void> => {
      if (++count % FILES_AT_ONCE === 0) await new Promise((resume) => setImmediate(resume));
    };
    for (const path of paths) {
      const before = this.#files.get(path);
      const now = lookAgain(path, before);
      if (now.changed) changed.add(path);
      young ||= now.sight.young;
      this.#files.set(path, now.sight);
      await breathe();
    }
    const touched = new Set<string>();
    for (const [path, before] of this.#modules) {
      const now = lookAgain(path, before);
      if (now.changed) touched.add(path);
      young ||= now.sight.young;
      this.#modules.set(path, now.sight);
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
      await this.#options.onChange({ changed: there, removed });
    } catch (error) {
      this.#options.onError?.(error, "onChange");
    }
  }

  /** The folder's pipeline files; undefined where nothing can be said about them. */
  #list(asked: boolean): string[] | undefined {
    try {
      const names = readdirSync(this.#dir);
      this.#troubles.delete(READING);
      this.#folderGoneSince = undefined;
      return names
        .filter(isPipelineFileName)
        .sort(byText)
        .map((name) => join(this.#dir, name));
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
      // A folder that is gone has had its time already.
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

  /** Modules that no pipeline is made from any more. */
  #forgetModules(): void {
    if (!this.#stale) return;
    this.#stale = false;
    const needed = new Set([...this.#followed.values()].flat());
    for (const path of this.#modules.keys()) if (!needed.has(path)) this.#modules.delete(path);
  }

  /** Puts a watcher on each folder that matters, anew on those that were removed and made again. */
  #watchFolders(): void {
    if (this.#closed) return;
    const wanted = new Set([this.#dir, dirname(this.#dir)]);
    for (const path of this.#modules.keys()) {
      if (wanted.size >= MAX_WATCHED_FOLDERS) break;
      wanted.add(dirname(path));
    }
    for (const [folder, { watcher, inode }] of this.#watchers) {
      if (wanted.has(folder) && inodeOf(folder) === inode) continue;
      void letGo(watcher);
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) if (!this.#watchers.has(folder)) this.#watchFolder(folder);
  }

  #watchFolder(folder: string): void {
    const inode = inodeOf(folder);
    if (inode === undefined) return;
    const watching = `watching ${folder}`;
    try {
      const watcher = watch(folder, {
        persistent: false,
        depth: 0,
        ignoreInitial: true,
        ignored: (path) => path !== folder,
      });
      watcher.on("raw", () => this.#dirty());
      // It watches only from here on: what came before has to be looked for.
      watcher.on("ready", () => {
        this.#troubles.delete(watching);
        this.#dirty();
      });
      watcher.on("error", (error) => {
        void letGo(watcher);
        this.#watchers.delete(folder);
        if (this.#trouble(watching, error)) this.#dirty();
        else this.#lookIn(BLIND_MS);
      });
      this.#watchers.set(folder, { watcher, inode });
    } catch (error) {
      // Out of watches, or gone again: the rescan every 15 s remains.
      this.#trouble(watching, error);
    }
  }

  /** Tells of what went wrong, if it is not the same as before. @returns whether it was told */
  #trouble(what: string, error: unknown): boolean {
    const how = (error as NodeJS.ErrnoException).code ?? String(error);
    if (this.#troubles.get(what) === how) return false;
    this.#troubles.set(what, how);
    this.#options.onError?.(error, what);
    return true;
  }
}

/**
 * Ends a watcher. chokidar takes its listeners away at once, though it may still be looking at the
 * folder; an error that comes of that look (a folder that has become a link to itself) would then
 * have no listener, which ends the process. So it is given one that says nothing.
 */
function letGo(watcher: FSWatcher): Promise<void> {
  const closed = watcher.close();
  watcher.on("error", () => undefined);
  return closed;
}

function inodeOf(folder: string): bigint | undefined {
  try {
    return statSync(folder, { bigint: true, throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
