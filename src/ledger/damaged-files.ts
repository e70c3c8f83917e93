/**
 * The ledgers that were found damaged, as a root's files show: `LEDGER.damaged-N` is the damaged
 * file that recovery or `orchd repair` put aside, and a run that is active and whose ledger is
 * damaged waits for `orchd repair`.
 */
import { statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { namesIn } from "../disk/names-in.ts";
import { parseRunId, PIPELINE_NAME } from "../core/run-id.ts";
import { iso } from "../core/time.ts";
import { ledgerOfDamaged } from "./damaged-name.ts";
import type { RunStore } from "./run-store.ts";
import { verifyLedger } from "./verify.ts";

/** A damaged ledger. */
export interface DamagedFile {
  /** Its path below the runs folder. */
  readonly file: string;
  /** Undefined for a ledger of the root's own. */
  readonly pipeline: string | undefined;
  /** A clause. */
  readonly because: string;
  /** When it was found, or when it was last written; ISO 8601, UTC. */
  readonly at: string;
}

/** Looks for damaged ledgers. A folder is listed again when its time has changed. */
export class DamagedFiles {
  readonly #store: RunStore;
  readonly #runs = new Set<string>();
  readonly #folders = new Map<
    string,
    { readonly mtimeMs: number; readonly found: readonly DamagedFile[] }
  >();

  constructor(store: RunStore) {
    this.#store = store;
  }

  /**
   * All that are damaged now: files that were put aside and are still there, and runs that wait.
   *
   * @param runs runs to look at too; those that are damaged are looked at each time from then on
   */
  now(runs: Iterable<string>): DamagedFile[] {
    for (const run of runs) this.#runs.add(run);
    return [...this.#aside(), ...this.#damagedRuns()];
  }

  #aside(): DamagedFile[] {
    const store = this.#store;
    const found = [...this.#in(store.orchdDir, undefined)];
    for (const pipeline of store.pipelines()) {
      if (!PIPELINE_NAME.test(pipeline)) continue;
      found.push(...this.#in(store.pipelineDir(pipeline), pipeline));
    }
    return found;
  }

  /** The runs that cannot go on. Reads their ledgers whole. */
  #damagedRuns(): DamagedFile[] {
    return [...this.#runs].flatMap((run) => {
      const path = this.#store.runLedger(run);
      const fault = verifyLedger(path, { run });
      if (fault === undefined || !fault.fault.startsWith("damaged")) {
        this.#runs.delete(run);
        return [];
      }
      const { line } = fault;
      const because = `run ${run} waits for \`orchd repair ${run}\`: line ${line}, ${fault.fault}`;
      return [{ ...this.#placed(path), pipeline: parseRunId(run)?.pipeline, because }];
    });
  }

  #in(folder: string, pipeline: string | undefined): readonly DamagedFile[] {
    try {
      const mtimeMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      const before = this.#folders.get(folder);
      if (before?.mtimeMs === mtimeMs) return before.found;
      const found = namesIn(folder).flatMap((name): DamagedFile[] => {
        const ledger = ledgerOfDamaged(name);
        if (ledger === undefined) return [];
        const because =
          `${ledger} was damaged, and a new one was begun: look at what is kept as ` +
          `${basename(name)}, and then remove it`;
        return [{ ...this.#placed(join(folder, name)), pipeline, because }];
      });
      this.#folders.set(folder, { mtimeMs, found });
      return found;
    } catch {
      // The daemon sets a pipeline aside whose folder cannot be used.
      return [];
    }
  }

  #placed(path: string): Pick<DamagedFile, "file" | "at"> {
    const ms = statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;
    return { file: relative(this.#store.runsDir, path), at: iso(Math.floor(ms)) };
  }
}
