/**
 * The version of each pipeline that is in force, kept for the next daemon
 * (`.orchd/in-force/NAME.json`): if the file is bad then, its last good version stays in force.
 *
 * What is kept is derived, and used only if the ledger knows its digest. It is not synced. If it is
 * lost and the file is bad at the next start, no version is in force then.
 *
 * A version of thousands of steps is megabytes of text. It is written a piece in each turn of the
 * event loop, and read beside it.
 */
import { closeSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { join } from "node:path";
import { makeFolder } from "../disk/make-folder.ts";
import { readOwnText, renameOwnFile } from "../disk/own-file.ts";
import { jsonPieces, PIECE_LENGTH } from "../core/json-pieces.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { Log } from "../log.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";

/** So few steps are made into text at once. */
const FEW_STEPS = 32;

/** Reads a large version from its file. Rejects where it is not there, or is not whole. */
export type ReadLarge = (path: string) => Promise<LoadedPipeline>;

/** The kept versions of one runs folder. */
export class KeptVersions {
  readonly #folder: string;
  readonly #log: Log;
  readonly #readLarge: ReadLarge | undefined;
  #keeping: Promise<void> = Promise.resolve();

  /**
   * @param orchdDir `.orchd`
   * @param readLarge default: large versions are read like small ones
   */
  constructor(orchdDir: string, log: Log, readLarge?: ReadLarge) {
    this.#folder = join(orchdDir, "in-force");
    this.#log = log;
    this.#readLarge = readLarge;
    makeFolder(this.#folder, 0o750);
  }

  /**
   * Keeps a version that came into force. If that fails, the log says so. Versions are kept one
   * after the other: two of one pipeline must not meet in one file.
   */
  keep(loaded: LoadedPipeline): Promise<void> {
    const path = this.#path(loaded.name);
    this.#keeping = this.#keeping.then(() =>
      keep(path, loaded).catch((error: unknown) =>
        this.#log.warn(
          { pipeline: loaded.name, err: error },
          `the version of ${loaded.name} in force could not be kept for the next daemon`,
        ),
      ),
    );
    return this.#keeping;
  }

  /** Keeps no version of a pipeline any more. */
  forget(name: string): void {
    rmSync(this.#path(name), { recursive: true, force: true });
  }

  /**
   * Puts the last good version of an earlier daemon in force again, if the ledger still says that
   * it is in force.
   */
  async restore(desk: PipelineDesk): Promise<void> {
    if (desk.loaded !== undefined || desk.state.removed || desk.state.digest === undefined) return;
    try {
      const kept = await this.#read(this.#path(desk.name));
      if (kept.digest === desk.state.digest && kept.name === desk.name) await desk.restore(kept);
    } catch {
      // It was never kept, or is not whole. No version is in force, and the desk gives that reason
      // for each slot.
    }
  }

  async #read(path: string): Promise<LoadedPipeline> {
    if (this.#readLarge !== undefined && statSync(path).size > PIECE_LENGTH)
      return this.#readLarge(path);
    return JSON.parse(readOwnText(path)) as LoadedPipeline;
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.json`);
  }
}

/** @throws a Node error */
async function keep(path: string, loaded: LoadedPipeline): Promise<void> {
  const before = textOf(path);
  const pieces: string[] = [];
  let same = before !== undefined;
  let length = 0;
  for (const piece of piecesOf(loaded)) {
    if (pieces.push(piece) > 1) await nextTurn();
    same &&= before!.startsWith(piece, length);
    length += piece.length;
  }
  // After a restart most versions are those that were kept. To write them again costs more than the
  // rest of the start.
  if (same && before!.length === length) return;
  const fd = openSync(`${path}.new`, "w", 0o640);
  try {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await nextTurn();
      writeFileSync(fd, piece);
    }
  } finally {
    closeSync(fd);
  }
  renameOwnFile(`${path}.new`, path);
}

/** The text of a version. One of few steps is one piece: to make pieces takes ten times as long. */
function piecesOf(loaded: LoadedPipeline): Iterable<string> {
  return loaded.template.steps.length > FEW_STEPS ? jsonPieces(loaded) : [JSON.stringify(loaded)];
}

/** What a file holds; undefined where it cannot be read. */
function textOf(path: string): string | undefined {
  try {
    return readOwnText(path);
  } catch {
    return undefined;
  }
}
