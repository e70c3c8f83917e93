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
 */
import { closeSync, openSync, readFileSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { RunLine } from "../core/event.ts";
import { errorCode } from "../disk/disk-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import { isPathFault, regularFile } from "../disk/path-fault.ts";
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

/** The index of one runs folder. Only the holder of the daemon's lock may record. */
export class CacheIndex {
  readonly #path: string;
  readonly #directory: string;
  #table: OffsetTable | undefined;
  #fd: number | undefined;
  #size = 0;
  readonly #recent = new Map<number, Entry>();
  readonly #block = Buffer.allocUnsafe(MAX_ENTRY_BYTES);
  /** What was recorded since a rebuild began; undefined while none is under way. */
  #meanwhile: [string, CacheCandidate][] | undefined;

  /** @param directory `runs/.orchd/cache`, made when the index is first written */
  constructor(directory: string, name = "index.jsonl") {
    this.#directory = directory;
    this.#path = join(directory, name);
  }

  /**
   * Notes that a step completed under this key.
   *
   * @throws RangeError if the key is not 16 to 64 hex digits; a Node error if it cannot be written:
   *   nothing depends on it
   */
  record(key: string, candidate: CacheCandidate): void {
    this.recordAll([[key, candidate]]);
  }

  /** Notes several, in this order, in one write. @throws as {@link record} */
  recordAll(completed: readonly (readonly [key: string, candidate: CacheCandidate])[]): void {
    const wrong = completed.find(([key]) => !KEY.test(key));
    if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong[0])} is no cache key.`);
    const table = this.#load();
    let text = "";
    let end = this.#size;
    for (const [key, { run, step, at }] of completed) {
      const bits = bitsOf(key);
      const isKey = (offset: number): boolean => this.#entry(offset)?.key === key;
      const entry: Entry = { key, run, step, at, prev: table.find(bits, isKey) };
      const line = `${JSON.stringify(entry)}\n`;
      const length = Buffer.byteLength(line);
      if (length > MAX_ENTRY_BYTES || end + length > MAX_FILE_BYTES) continue;
      table.set(bits, end, isKey);
      this.#remember(end, entry);
      this.#meanwhile?.push([key, entry]);
      text += line;
      end += length;
    }
    if (text === "") return;
    try {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length;) {
        written += writeSync(
          this.#fileForWriting(),
          bytes,
          written,
          bytes.length - written,
          this.#size + written,
        );
      }
      this.#size = end;
    } catch (error) {
      // Memory has entries now that the file does not have: the next use reads the file again.
      this.close();
      throw error;
    }
  }

  /** The results with this key, newest first; at most 16. */
  lookup(key: string): CacheCandidate[] {
    if (!KEY.test(key)) return [];
    const found: CacheCandidate[] = [];
    let table: OffsetTable;
    try {
      table = this.#load();
    } catch (error) {
      // Without the index a step runs again, and nothing worse happens.
      if (isPathFault(error)) return [];
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
    return found.toSorted((a, b) => (a.at > b.at ? -1 : a.at < b.at ? 1 : 0));
  }

  /** Closes the file. The next use opens it again. */
  close(): void {
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
  compact(exists: (run: string) => boolean): Promise<number> {
    return this.#replaceWith(entriesOfFile(this.#path, exists));
  }

  async #replaceWith(
    entries: AsyncIterable<readonly [key: string, candidate: CacheCandidate]>,
  ): Promise<number> {
    const next = new CacheIndex(this.#directory, `.index.jsonl.${process.pid}`);
    const meanwhile: [string, CacheCandidate][] = [];
    this.#meanwhile = meanwhile;
    let count = 0;
    try {
      next.#truncate();
      for await (const [key, candidate] of entries) {
        next.record(key, candidate);
        count += 1;
      }
      next.recordAll(meanwhile);
      renameSync(next.#path, this.#path);
    } finally {
      this.#meanwhile = undefined;
      next.close();
    }
    this.close();
    return count + meanwhile.length;
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
  const keys = new Map<string, string>();
  const found = new Map<string, CacheCandidate>();
  try {
    const { end } = readLedger<RunLine>(path, {
      each: (line) => {
        if (line.type === "step.started" && line.cacheKey !== undefined)
          keys.set(line.step, line.cacheKey);
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
