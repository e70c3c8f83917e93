/**
 * Finds earlier results with the same cache key: key -> run and step, newest first.
 *
 * The index is derived from the ledgers, and never trusted alone: the user of a candidate checks
 * that its ledger and its artifacts are there. So it is written without a sync, lines that a crash
 * tore are skipped, and `orchd verify --rebuild` makes it again.
 *
 * It is one append-only file, `cache/index.jsonl`. Each line names the offset of the previous line
 * with the same key. Memory holds one offset a key (offset-table.ts), so a long history costs the
 * daemon little. Rejected: a file a key (a million small files); all entries in memory.
 *
 * ## A write
 *
 * What is recorded waits in memory for 50 ms, and all that came meanwhile is one write. A lookup
 * finds what waits and what is being written, so this process never misses a result. A run's end
 * does not wait. The write is off the thread: a disk that stops must not hold the daemon. One is
 * under way at a time, and the descriptor is closed only while none is: otherwise its bytes could
 * go into another file that got the same number.
 *
 * The table and the size say what is in the file, and change after a write. If a write fails, its
 * entries are lost, and the next use reads the file again. A process that dies loses what waited;
 * taking over its runs makes that good (docs/adr/0028-writes-stay-off-the-thread.md). Another
 * process that reads the file may lag by 50 ms.
 *
 * A rebuild puts all that is recorded while it goes on into the new file too. What waits when the
 * new file takes the old one's place is forgotten: it is in the new one, or recorded again.
 */
import { closeSync, openSync, readFileSync, readSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Timer } from "../clock.ts";
import type { RunLine } from "../core/event.ts";
import { errorCode } from "../disk/disk-error.ts";
import { systemDisk, writeAll } from "../disk/disk.ts";
import { makeFolder } from "../disk/make-folder.ts";
import { namesIn } from "../disk/names-in.ts";
import { isPathFault, regularFile } from "../disk/path-fault.ts";
import { removeFile } from "../disk/remove-file.ts";
import { CacheEntryText } from "./cache-entry-text.ts";
import { LedgerFormatError } from "./ledger-error.ts";
import { readLedger } from "./ledger-reader.ts";
import { OffsetTable } from "./offset-table.ts";
import { RunStore } from "./run-store.ts";

/** A result that a later step with the same cache key may reuse. */
export interface CacheCandidate {
  readonly run: string;
  readonly step: string;
  /** When the step completed; ISO 8601, UTC. */
  readonly at: string;
}

interface Entry extends CacheCandidate {
  readonly key: string;
  /** The offset of the previous entry with the same key; -1 if there is none. */
  readonly prev: number;
}

const KEY = /^[0-9a-f]{16,64}$/;
/** `{"key":"` */
const KEY_AT = 8;
const LF = 0x0a;
const MAX_ENTRY_BYTES = 4_096;
const USUAL_ENTRY_BYTES = 384;
const MAX_FILE_BYTES = 2 ** 32 - MAX_ENTRY_BYTES;
const CANDIDATES = 16;
/** How many parsed entries stay in memory. */
const RECENT = 4_096;
/** How long an entry waits at most before it is written, in milliseconds. */
const WAIT_MS = 50;
/** How many entries of a rebuild are written at once. */
const REBUILT_AT_ONCE = 1_000;
/** With a process's id it is the name of the file that a rebuild makes. */
const NEXT_PREFIX = ".index.jsonl.";

/** Entries by their key, each key's in the order in which they were recorded. */
type Batch = Map<string, CacheCandidate[]>;

/** How an index is written. */
export interface CacheIndexOptions {
  /** With it entries are written by themselves. Without it only {@link CacheIndex.flush} writes. */
  readonly clock?: Clock | undefined;
  /** Called when entries could not be written. They are lost, and nothing depends on them. */
  readonly onLost?: ((error: unknown) => void) | undefined;
  /** The file's name; default: `index.jsonl`. */
  readonly name?: string | undefined;
}

/** The index of one runs folder. Only the holder of the daemon's lock may record. */
export class CacheIndex {
  readonly #path: string;
  readonly #directory: string;
  readonly #options: CacheIndexOptions;
  #table: OffsetTable | undefined;
  #fd: number | undefined;
  /** The length of the file's whole lines. The next write begins there. */
  #size = 0;
  /** What was recorded and is not being written yet. */
  #waiting: Batch = new Map();
  /** What is being written; undefined while no write is under way. */
  #writing: Batch | undefined;
  #timer: Timer | undefined;
  /** Resolves when every flush so far is done. */
  #flushed: Promise<void> = Promise.resolve();
  readonly #recent = new Map<number, Entry>();
  readonly #text = new CacheEntryText();
  readonly #block = Buffer.allocUnsafe(MAX_ENTRY_BYTES);
  /** What was recorded since a rebuild began; undefined while none is under way. */
  #meanwhile: [string, CacheCandidate][] | undefined;

  /** @param directory `runs/.orchd/cache`, made when the index is first written */
  constructor(directory: string, options: CacheIndexOptions = {}) {
    this.#directory = directory;
    this.#path = join(directory, options.name ?? "index.jsonl");
    this.#options = options;
  }

  /**
   * Notes that a step completed under this key. A lookup finds it at once.
   *
   * @throws RangeError if the key is not 16 to 64 hex digits
   */
  record(key: string, candidate: CacheCandidate): void {
    this.recordAll([[key, candidate]]);
  }

  /** Notes several, in this order. @throws as {@link record}: then none of them is noted */
  recordAll(completed: readonly (readonly [key: string, candidate: CacheCandidate])[]): void {
    let good = "";
    for (const [key] of completed) {
      // In a fan-out they are often all the same.
      if (key !== good && !KEY.test(key))
        throw new RangeError(`${JSON.stringify(key)} is no cache key.`);
      good = key;
    }
    for (const [key, { run, step, at }] of completed) {
      const candidate = { run, step, at };
      const alike = this.#waiting.get(key);
      if (alike === undefined) this.#waiting.set(key, [candidate]);
      else alike.push(candidate);
      this.#meanwhile?.push([key, candidate]);
    }
    if (this.#waiting.size > 0)
      this.#timer ??= this.#options.clock?.after(WAIT_MS, () => void this.flush());
  }

  /** Writes what waits. Never rejects: `onLost` hears what could not be written. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#flushed = this.#flushed
      .then(() => this.#write())
      .catch((error: unknown) => this.#options.onLost?.(error));
    return this.#flushed;
  }

  /** The results with this key, newest first; at most 16. */
  lookup(key: string): CacheCandidate[] {
    if (!KEY.test(key)) return [];
    const found: CacheCandidate[] = [];
    for (const batch of [this.#waiting, this.#writing])
      found.push(...(batch?.get(key)?.slice(-CANDIDATES).toReversed() ?? []));
    let table: OffsetTable;
    try {
      table = this.#load();
    } catch (error) {
      // Without the index a step runs again, and nothing worse happens.
      if (isPathFault(error)) return newestFirst(found);
      throw error;
    }
    let offset = table.find(bitsOf(key), (there) => this.#entry(there)?.key === key);
    while (offset >= 0 && found.length < CANDIDATES) {
      const entry = this.#entry(offset);
      if (entry === undefined || entry.key !== key) break;
      found.push({ run: entry.run, step: entry.step, at: entry.at });
      // A line names only a line before it. Anything else is damage, and could loop for ever.
      offset = entry.prev < offset ? entry.prev : -1;
    }
    return newestFirst(found);
  }

  /**
   * Writes what waits and closes the file. The next use opens it again. Where nothing waits, it is
   * closed when this returns.
   */
  async close(): Promise<void> {
    while (!this.#isSettled()) await this.flush();
    this.#forget();
  }

  /** Whether all that was recorded is in the file, or lost. */
  #isSettled(): boolean {
    return this.#waiting.size === 0 && this.#writing === undefined;
  }

  /** Forgets what the file says, and closes it. The next use reads it again. */
  #forget(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#table = undefined;
    this.#recent.clear();
    this.#size = 0;
  }

  /**
   * Makes a new index from every whole ledger, and replaces the old one by it. Gives way to other
   * work between runs.
   *
   * @param runsDir the runs folder that the index belongs to
   * @returns how many entries it has
   */
  rebuild(runsDir: string): Promise<number> {
    return this.#replaceWith(entriesOfLedgers(new RunStore(runsDir)));
  }

  /**
   * Drops the entries of runs that are gone. Gives way to other work between runs. @returns how
   * many entries are left
   */
  async compact(exists: (run: string) => boolean): Promise<number> {
    // What is in the file when it is read, and what is recorded later, is all there is.
    while (!this.#isSettled()) await this.flush();
    return this.#replaceWith(entriesOfFile(this.#path, exists));
  }

  async #replaceWith(
    entries: AsyncIterable<readonly [key: string, candidate: CacheCandidate]>,
  ): Promise<number> {
    removeLeft(this.#directory);
    const next = new CacheIndex(this.#directory, { name: `${NEXT_PREFIX}${process.pid}` });
    const meanwhile: [string, CacheCandidate][] = [];
    this.#meanwhile = meanwhile;
    let count = 0;
    try {
      next.#truncate();
      for await (const [key, candidate] of entries) {
        next.record(key, candidate);
        count += 1;
        if (count % REBUILT_AT_ONCE === 0) await next.#write();
      }
      count += meanwhile.length;
      next.recordAll(meanwhile.splice(0));
      await next.#write();
      while (this.#writing !== undefined) await this.#flushed;
      renameSync(next.#path, this.#path);
      this.#forget();
      this.#waiting.clear();
    } catch (error) {
      // A disk that is full has room again.
      removeLeft(this.#directory);
      throw error;
    } finally {
      this.#meanwhile = undefined;
      next.#forget();
    }
    // These came while the new file was finished.
    this.recordAll(meanwhile);
    return count + meanwhile.length;
  }

  async #write(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const batch = this.#waiting;
    this.#waiting = new Map();
    this.#writing = batch;
    try {
      const { text, newest, end } = this.#linesOf(batch);
      await writeAll(systemDisk, this.#fileForWriting(), Buffer.from(text), this.#size);
      this.#size = end;
      for (const [key, entries] of newest) {
        let last = -1;
        for (const [offset, entry] of entries) this.#remember((last = offset), entry);
        // The table has the newest entry of each key.
        if (last >= 0)
          this.#table!.set(bitsOf(key), last, (there) => this.#entry(there)?.key === key);
      }
    } catch (error) {
      // The file may have a part of them.
      this.#forget();
      throw error;
    } finally {
      this.#writing = undefined;
    }
  }

  /**
   * The lines of a batch as they stand at the end of the file, and by key and offset the newest
   * entries: those that a lookup gives. In a fan-out hundreds have one key, and to keep the others
   * costs more than to write them.
   */
  #linesOf(batch: Batch): { text: string; newest: Map<string, [number, Entry][]>; end: number } {
    const table = this.#load();
    const newest = new Map<string, [number, Entry][]>();
    let text = "";
    let end = this.#size;
    for (const [key, candidates] of batch) {
      const kept: [number, Entry][] = [];
      newest.set(key, kept);
      let prev = table.find(bitsOf(key), (there) => this.#entry(there)?.key === key);
      let left = candidates.length;
      for (const { run, step, at } of candidates) {
        left -= 1;
        const line = this.#text.line(key, run, step, at, prev);
        const length = this.#text.bytes;
        if (length > MAX_ENTRY_BYTES || end + length > MAX_FILE_BYTES) continue;
        if (left < CANDIDATES) kept.push([end, { key, run, step, at, prev }]);
        text += line;
        prev = end;
        end += length;
      }
    }
    return { text, newest, end };
  }

  #truncate(): void {
    makeFolder(this.#directory);
    closeSync(openSync(this.#path, "w", 0o640));
  }

  #load(): OffsetTable {
    if (this.#table !== undefined) return this.#table;
    const table = new OffsetTable();
    const bytes = readOrEmpty(this.#path);
    this.#table = table;
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      const at = start;
      const key = keyAt(bytes, at, end);
      if (key !== undefined)
        table.set(bitsOf(key), at, (offset) => keyAt(bytes, offset, bytes.length) === key);
      start = end + 1;
    }
    // The next write covers a torn last line.
    this.#size = start;
    return table;
  }

  #fileForWriting(): number {
    if (this.#fd === undefined) {
      makeFolder(this.#directory);
      closeSync(openSync(this.#path, "a", 0o640));
      this.#fd = openSync(this.#path, "r+");
    }
    return this.#fd;
  }

  #entry(offset: number): Entry | undefined {
    const recent = this.#recent.get(offset);
    if (recent !== undefined) return recent;
    const bytes = this.#block;
    let end = -1;
    try {
      this.#fd ??= openSync(this.#path, "r+");
      for (const length of [USUAL_ENTRY_BYTES, MAX_ENTRY_BYTES]) {
        const read = readSync(this.#fd, bytes, 0, Math.min(length, this.#size - offset), offset);
        end = bytes.subarray(0, read).indexOf(LF);
        if (end >= 0) break;
      }
    } catch {
      // Without the entry a step runs again, and nothing worse happens.
      return undefined;
    }
    const entry = end < 0 ? undefined : parseEntry(bytes.toString("utf8", 0, end));
    if (entry !== undefined) this.#remember(offset, entry);
    return entry;
  }

  #remember(offset: number, entry: Entry): void {
    this.#recent.set(offset, entry);
    if (this.#recent.size > RECENT) this.#recent.delete(this.#recent.keys().next().value!);
  }
}

/** Removes the files of rebuilds that did not come to their end: one is under way at a time. */
function removeLeft(directory: string): void {
  for (const name of namesIn(directory)) {
    if (!name.startsWith(NEXT_PREFIX)) continue;
    try {
      removeFile(join(directory, name));
    } catch (error) {
      if (!isPathFault(error)) throw error;
    }
  }
}

async function* entriesOfLedgers(
  store: RunStore,
): AsyncGenerator<readonly [string, CacheCandidate]> {
  for (const pipeline of store.pipelines()) {
    for (const run of runsOf(store, pipeline)) {
      yield* cacheableSteps(store.runLedger(run), run);
      await giveWay();
    }
  }
}

/** A pipeline's runs; none where its folder cannot be read: its steps run again. */
function runsOf(store: RunStore, pipeline: string): string[] {
  try {
    return store.list(pipeline);
  } catch (error) {
    if (isPathFault(error)) return [];
    throw error;
  }
}

async function* entriesOfFile(
  path: string,
  exists: (run: string) => boolean,
): AsyncGenerator<readonly [string, CacheCandidate]> {
  const bytes = readOrEmpty(path);
  const known = new Map<string, boolean>();
  let start = 0;
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
    const key = keyAt(bytes, start, end);
    const entry = key === undefined ? undefined : parseEntry(bytes.toString("utf8", start, end));
    start = end + 1;
    if (entry === undefined) continue;
    let there = known.get(entry.run);
    if (there === undefined) {
      known.set(entry.run, (there = exists(entry.run)));
      await giveWay();
    }
    if (there) yield [entry.key, entry];
  }
}

/** @param found the one that was recorded last comes first */
function newestFirst(found: readonly CacheCandidate[]): CacheCandidate[] {
  const last = found.slice(0, CANDIDATES);
  return last.toSorted((a, b) => (a.at > b.at ? -1 : a.at < b.at ? 1 : 0));
}

function giveWay(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function parseEntry(text: string): Entry | undefined {
  try {
    const entry = JSON.parse(text) as Entry;
    const whole =
      [entry.key, entry.run, entry.step, entry.at].every((field) => typeof field === "string") &&
      Number.isInteger(entry.prev);
    return whole ? entry : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The steps of a run that completed under a cache key. None if the ledger is damaged: its results
 * cannot be trusted.
 */
function cacheableSteps(path: string, run: string): Map<string, CacheCandidate> {
  const keys = new Map<string, string | undefined>();
  const found = new Map<string, CacheCandidate>();
  try {
    const { end } = readLedger<RunLine>(path, {
      each: (line) => {
        if (line.type === "step.started") keys.set(line.step, line.cacheKey);
        const key = line.type === "step.completed" ? keys.get(line.step) : undefined;
        if (line.type === "step.completed" && key !== undefined && KEY.test(key))
          found.set(key, { run, step: line.step, at: line.at });
      },
    });
    return end === "damaged" ? new Map() : found;
  } catch (error) {
    if (error instanceof LedgerFormatError || isPathFault(error)) return new Map();
    throw error;
  }
}

function readOrEmpty(path: string): Buffer {
  try {
    return regularFile(path) === undefined ? Buffer.alloc(0) : readFileSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

function keyAt(bytes: Buffer, start: number, end: number): string | undefined {
  const from = start + KEY_AT;
  const to = bytes.indexOf(0x22, from);
  const key = to < 0 || to > end || to - from > 64 ? "" : bytes.toString("latin1", from, to);
  return KEY.test(key) ? key : undefined;
}

function bitsOf(key: string): number {
  return Number.parseInt(key.slice(0, 8), 16);
}
