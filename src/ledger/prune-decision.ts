/**
 * What a prune removes, decided a part of the pipelines at a time: what is kept of a run in between
 * is its name. Where a limit is over all pipelines, they are one part.
 *
 * Whose results are used is known last: a run that stays may have taken a result from a run of
 * another pipeline. To know it, the ledgers of all runs that stay are read, and reading gives way
 * to other work.
 */
import { statSync } from "node:fs";
import type { RunLine } from "../core/event.ts";
import { errorCode } from "../disk/disk-error.ts";
import { LedgerFormatError } from "./ledger-error.ts";
import { readLedger } from "./ledger-reader.ts";
import { decideRetention, keepSources, noDecision, type PipelineFacts } from "./retention.ts";
import type { RunStore } from "./run-store.ts";

/** What is removed and what stays, each with the reason. */
export class PruneDecision {
  /** The pipelines that lose anything, by what was decided before whose results are used. */
  readonly losing = new Set<string>();
  readonly #decision = noDecision();
  readonly #staying: string[] = [];
  #bytes = 0;

  /** The runs to remove, each with the reason. */
  get prune(): Map<string, string> {
    return this.#decision.prune;
  }

  /** The runs that a limit would remove and something else keeps. */
  get kept(): Map<string, string> {
    return this.#decision.kept;
  }

  /** The files to remove that belong to no run, by path. */
  get files(): Map<string, string> {
    return this.#decision.files;
  }

  /** How many bytes go. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Decides a part of the pipelines. @param totalBytes the limit for them together, if any */
  add(pipelines: readonly PipelineFacts[], nowMs: number, totalBytes?: number): void {
    const decided = this.#decision;
    // Who uses whose results is asked once, at the end: here every source is taken to be unused.
    decideRetention(pipelines, nowMs, () => [], totalBytes, decided);
    for (const { pipeline, runs, files = [] } of pipelines) {
      const lose = (bytes: number): void => {
        this.#bytes += bytes;
        this.losing.add(pipeline);
      };
      for (let index = 0; index < runs.length; index += 1) {
        const { run, bytes } = runs.at(index)!;
        if (decided.prune.has(run)) lose(bytes);
        else this.#staying.push(run);
      }
      for (const { path, bytes } of files) if (decided.files.has(path)) lose(bytes);
    }
  }

  /**
   * Keeps the runs whose results are used by runs that stay. Call it once, when all is decided.
   *
   * @param giveWay called after each ledger
   */
  async keepUsed(store: RunStore, giveWay: () => Promise<void>): Promise<void> {
    if (this.prune.size === 0) return;
    const sources = await this.#sources(store, giveWay);
    const before = new Set(this.kept.keys());
    keepSources([...sources.keys()], this.prune, this.kept, (run) => sources.get(run) ?? []);
    for (const run of this.kept.keys()) if (!before.has(run)) this.#bytes -= sizeOf(store, run);
  }

  /**
   * The runs that are used: by each run that stays, and by each of those in turn. Runs that use
   * none are left out.
   */
  async #sources(store: RunStore, giveWay: () => Promise<void>): Promise<Map<string, Set<string>>> {
    const found = new Map<string, Set<string>>();
    const more: string[] = [];
    const seen = new Set<string>();
    const look = async (run: string): Promise<void> => {
      const sources = sourcesOf(store, run);
      await giveWay();
      if (sources.size === 0) return;
      found.set(run, sources);
      for (const source of sources) {
        if (!this.prune.has(source) || seen.has(source)) continue;
        seen.add(source);
        more.push(source);
      }
    };
    for (const run of this.#staying) await look(run);
    for (let run = more.pop(); run !== undefined; run = more.pop()) await look(run);
    return found;
  }
}

/** The size of a run's ledger and log. */
function sizeOf(store: RunStore, run: string): number {
  return [store.runLedger(run), store.runLog(run)].reduce(
    (sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

/** The runs whose results this run uses. */
function sourcesOf(store: RunStore, run: string): Set<string> {
  const sources = new Set<string>();
  try {
    readLedger<RunLine>(store.runLedger(run), {
      each: (line) => {
        if (line.type === "step.cached") sources.add(line.source.run);
        if (line.type === "run.submitted" && line.reuse !== undefined)
          for (const source of Object.values(line.reuse)) sources.add(source);
      },
    });
  } catch (error) {
    // What a newer release wrote says nothing to this one.
    if (errorCode(error) !== "ENOENT" && !(error instanceof LedgerFormatError)) throw error;
  }
  return sources;
}
