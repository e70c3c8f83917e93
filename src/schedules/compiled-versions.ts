/**
 * Compiled versions of declared pipeline files, kept by a daemon for the next one
 * (`.orchd/compiled`): a start compiles only what has changed.
 *
 * They are derived, and never a second truth. Each is named by a hash of all that compiling
 * depends on: the file's path and text, the settings, and the program with its parser and its
 * time-zone data. Another text, another orchd.yaml or another release has another name, so nothing
 * has to be thrown away. What the hash does not hold is asked again by who loads the file: the
 * modules that the file names, the orchestrator and its stack (load-file.ts).
 *
 * A version is not kept where it may read otherwise tomorrow: with a warning, a `runOnceAt` or an
 * `endTime`. Warnings also look ahead by a year, so a version is used for 30 days.
 *
 * A line is `CRC NAME JSON`. The file is written aside and renamed, and not synced. A line that is
 * torn, altered or of an unknown kind is passed over: its file is compiled as if there were no
 * version. The file holds at most 8 MiB, in the order in which the versions were needed.
 *
 * States: open -> closed. While it is open (a daemon's first reading) versions are given and taken.
 * Once closed it gives and takes none, and holds no memory: what is loaded later is remembered in
 * the process. Versions of files that change then are written by the start after the next change.
 *
 * Rejected: a file for each version (a look, a read and a close for each of 300), and the kept
 * versions in force (engine/kept-versions.ts), which are found by the pipeline's name: a file has
 * to be compiled before its name is known.
 */
import { closeSync, openSync, renameSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { readOwnFile } from "../disk/own-file.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { DAY_MS } from "../core/time.ts";
import { VERSION } from "../version.ts";
import { sha256 } from "../core/sha256.ts";

/** The largest text of a pipeline file whose version is kept, in UTF-16 code units. */
const MOST_TEXT = 8_192;
/** The largest line, and the largest file, in bytes. */
const MOST_LINE = 65_536;
const MOST_FILE = 8_388_608;
const HOLDS_MS = 30 * DAY_MS;
/** How many bytes are written before the event loop gets a turn. */
const PIECE_BYTES = 131_072;
/** `CRC NAME `: where the JSON begins. */
const NAME_AT = 9;
const JSON_AT = NAME_AT + 65;
const NEWLINE = 0x0a;

/** What a version is compiled from, besides the settings and the program. */
export interface CompiledFrom {
  /** The file's absolute path, and where links lead. */
  readonly path: string;
  readonly realPath: string;
  readonly text: string;
  readonly settings: OrchdSettings;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A version as it was compiled, before its orchestrator and its stack were asked. */
export interface CompiledVersion {
  readonly loaded: LoadedPipeline;
  /** What each module that the file names was bundled to: a text that is equal only if that is. */
  readonly modules: { readonly [entry: string]: string };
}

/**
 * A version in its line. Where the snapshot is the template it is null. The order of the members
 * stays: kept-versions.ts compares texts.
 */
interface Kept {
  readonly at: number;
  readonly loaded: Omit<LoadedPipeline, "snapshot"> & { readonly snapshot: Snapshot | null };
  readonly modules: CompiledVersion["modules"];
}

/** The compiled versions of one runs folder. */
export class CompiledVersions {
  readonly #path: string;
  readonly #settings: OrchdSettings;
  readonly #common: string;
  #bytes: Buffer = Buffer.alloc(0);
  /** Where each version lies in the bytes, by its name. */
  readonly #lines = new Map<string, { readonly from: number; readonly to: number }>();
  /** The lines of the next file, by name. */
  readonly #needed = new Map<string, Uint8Array>();
  #isNew = false;
  #closed = false;

  /**
   * Reads what was kept; nothing if that cannot be read.
   *
   * @param path `.orchd/compiled`
   * @param settings with others nothing is given or taken
   */
  constructor(path: string, settings: OrchdSettings) {
    this.#path = path;
    this.#settings = settings;
    this.#common = `${programIdentity()}\n${JSON.stringify(settings)}`;
    this.#read();
  }

  /** The version that was compiled from the same; undefined if none is known to be. */
  recall(from: CompiledFrom): CompiledVersion | undefined {
    if (!this.#isFor(from)) return undefined;
    const name = this.#nameOf(from);
    const found = this.#lines.get(name);
    if (found === undefined) return undefined;
    const line = this.#bytes.subarray(found.from, found.to);
    const kept = keptIn(line);
    if (kept === undefined || from.now < kept.at || from.now >= kept.at + HOLDS_MS)
      return undefined;
    this.#needed.set(name, line);
    const { loaded, modules } = kept;
    return { loaded: { ...loaded, snapshot: loaded.snapshot ?? loaded.template }, modules };
  }

  /** Keeps a version that was just compiled, unless it is large or may read otherwise tomorrow. */
  keep(from: CompiledFrom, { loaded, modules }: CompiledVersion): void {
    if (!this.#isFor(from) || from.text.length > MOST_TEXT || mayChange(loaded)) return;
    const snapshot = loaded.snapshot === loaded.template ? null : loaded.snapshot;
    const kept: Kept = { at: from.now, loaded: { ...loaded, snapshot }, modules };
    const name = this.#nameOf(from);
    const body = Buffer.from(`${name} ${JSON.stringify(kept)}\n`);
    if (body.length > MOST_LINE) return;
    this.#needed.set(name, Buffer.concat([Buffer.from(`${crcOf(body)} `), body]));
    this.#isNew = true;
  }

  /**
   * Writes what this process gave and took, if some of it is new, and closes.
   *
   * @throws a Node error; what was kept before is then still there
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const lines = [...this.#needed.values()];
    this.#bytes = Buffer.alloc(0);
    this.#lines.clear();
    this.#needed.clear();
    if (this.#isNew) await writeLines(this.#path, lines);
  }

  #isFor({ settings }: CompiledFrom): boolean {
    return !this.#closed && settings === this.#settings;
  }

  #nameOf({ path, realPath, text }: CompiledFrom): string {
    return sha256(`${this.#common}\n${JSON.stringify([path, realPath])}\n${text}`);
  }

  #read(): void {
    let bytes: Buffer;
    try {
      if (statSync(this.#path).size > MOST_FILE) return;
      bytes = readOwnFile(this.#path);
    } catch {
      // There is none yet, or this user may not read it.
      return;
    }
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(NEWLINE, from);
      if (end === -1) break;
      this.#lines.set(bytes.toString("latin1", from + NAME_AT, from + JSON_AT - 1), {
        from,
        to: end + 1,
      });
      from = end + 1;
    }
    this.#bytes = bytes;
  }
}

/** Whether a version compiled later from the same may warn of something else. */
function mayChange({ warnings, schedules }: LoadedPipeline): boolean {
  return (
    warnings.length > 0 ||
    schedules.some(({ endTime, runOnceAt }) => endTime !== undefined || runOnceAt !== undefined)
  );
}

function keptIn(line: Buffer): Kept | undefined {
  if (line.toString("latin1", 0, NAME_AT) !== `${crcOf(line.subarray(NAME_AT))} `) return undefined;
  try {
    return JSON.parse(line.toString("utf8", JSON_AT)) as Kept;
  } catch {
    return undefined;
  }
}

function crcOf(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, "0");
}

async function writeLines(path: string, lines: readonly Uint8Array[]): Promise<void> {
  const fd = openSync(`${path}.new`, "w", 0o640);
  try {
    let total = 0;
    let piece: Uint8Array[] = [];
    let length = 0;
    for (const line of lines) {
      total += line.length;
      if (total > MOST_FILE) break;
      piece.push(line);
      length += line.length;
      if (length < PIECE_BYTES) continue;
      writeWhole(fd, Buffer.concat(piece));
      piece = [];
      length = 0;
      await nextTurn();
    }
    writeWhole(fd, Buffer.concat(piece));
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

/**
 * What changes with all that compiles: the release, this very file (a built one is named by its
 * content and by that of what it imports), the parser of YAML, Node and its time-zone data.
 */
function programIdentity(): string {
  const own = fileURLToPath(import.meta.url);
  const parser = createRequire(import.meta.url).resolve("yaml/package.json");
  const { node, icu, tz } = process.versions;
  return JSON.stringify([VERSION, node, icu, tz, printOf(own), printOf(parser)]);
}

function printOf(path: string): string {
  const { ino, size, mtimeMs } = statSync(path);
  return `${path} ${ino} ${size} ${mtimeMs}`;
}
