/**
 * The version of each pipeline that is in force, kept for the next daemon
 * (`.orchd/in-force/NAME.json`): if the file is bad then, its last good version stays in force.
 *
 * What is kept is derived, and used only if the ledger knows its digest. It is not synced. If it is
 * lost and the file is bad at the next start, no version is in force then.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../disk/make-folder.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { Log } from "../log.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";

/** The kept versions of one runs folder. */
export class KeptVersions {
  readonly #folder: string;
  readonly #log: Log;

  /** @param orchdDir `.orchd` */
  constructor(orchdDir: string, log: Log) {
    this.#folder = join(orchdDir, "in-force");
    this.#log = log;
    makeFolder(this.#folder, 0o750);
  }

  /** Keeps a version that came into force. If that fails, the log says so. */
  keep(loaded: LoadedPipeline): void {
    const path = this.#path(loaded.name);
    const text = JSON.stringify(loaded);
    // After a restart most versions are those that were kept. To write them again costs more than
    // the rest of the start.
    if (isText(path, text)) return;
    try {
      writeFileSync(`${path}.new`, text, { mode: 0o640 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      this.#log.warn(
        { pipeline: loaded.name, err: error },
        `the version of ${loaded.name} in force could not be kept for the next daemon`,
      );
    }
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
      const kept = JSON.parse(readFileSync(this.#path(desk.name), "utf8")) as LoadedPipeline;
      if (kept.digest === desk.state.digest && kept.name === desk.name) await desk.restore(kept);
    } catch {
      // It was never kept, or is not whole. No version is in force, and the desk gives that reason
      // for each slot.
    }
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.json`);
  }
}

/** Whether a file holds this text. */
function isText(path: string, text: string): boolean {
  try {
    return readFileSync(path, "utf8") === text;
  } catch {
    return false;
  }
}
