/**
 * Where everything is under the runs folder (docs/ledger.md), and what is there. Knows names, not
 * contents.
 *
 * Every path is made from names that were checked (run-id.ts), so none can lead out of the folder.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  backfillRunId,
  manualRunId,
  parseRunId,
  PIPELINE_NAME,
  rerunRunId,
  type RunId,
} from "../core/run-id.ts";
import { errorCode } from "../disk/disk-error.ts";

const MONTH = /^\d{4}-\d\d$/;
const LEDGER = ".jsonl";

/** Which runs {@link RunStore.list} gives. */
export interface ListOptions {
  /** Default: the oldest first. */
  readonly newestFirst?: boolean | undefined;
  readonly limit?: number | undefined;
}

/** The layout of one runs folder: see the head of this file. */
export class RunStore {
  /** The runs folder, as it was given. */
  readonly runsDir: string;

  constructor(runsDir: string) {
    this.runsDir = runsDir;
  }

  /** `.orchd`: what belongs to no pipeline. */
  get orchdDir(): string {
    return join(this.runsDir, ".orchd");
  }

  /** Step code, compiled: `SHA.mjs`. */
  get bundles(): string {
    return join(this.orchdDir, "bundles");
  }

  /** Values too big for a line, named by their sha256. */
  get artifacts(): string {
    return join(this.orchdDir, "artifacts");
  }

  /** What other processes ask for. */
  get requests(): string {
    return join(this.orchdDir, "requests");
  }

  /** What the daemon answered. */
  get replies(): string {
    return join(this.orchdDir, "replies");
  }

  /** The cache's index; derived. */
  get cache(): string {
    return join(this.orchdDir, "cache");
  }

  /** Files that live no longer than a step: its inputs, params and output. */
  get scratch(): string {
    return join(this.orchdDir, "scratch");
  }

  /** A pipeline's folder. @throws RangeError where the name is none */
  pipelineDir(pipeline: string): string {
    if (!PIPELINE_NAME.test(pipeline))
      throw new RangeError(`${JSON.stringify(pipeline)} is no name of a pipeline.`);
    return join(this.runsDir, pipeline);
  }

  /** A pipeline's own ledger. @throws RangeError where the name is none */
  pipelineLedger(pipeline: string): string {
    return join(this.pipelineDir(pipeline), "pipeline.jsonl");
  }

  /** A run's ledger. @throws RangeError where the id is none */
  runLedger(run: string): string {
    return join(this.runDir(run), run + LEDGER);
  }

  /** What a run's steps printed; there only if they did. @throws RangeError where the id is none */
  runLog(run: string): string {
    return join(this.runDir(run), `${run}.log`);
  }

  /** The month folder that a run's files are in. @throws RangeError where the id is none */
  runDir(run: string): string {
    const { pipeline, month } = this.parseRunId(run);
    return join(this.runsDir, pipeline, month);
  }

  /**
   * Takes a run's id apart. @throws RangeError where it is none; {@link parseRunId} of
   * core/run-id.ts does not throw
   */
  parseRunId(run: string): RunId {
    const parsed = parseRunId(run);
    if (parsed === undefined)
      throw new RangeError(
        `${JSON.stringify(run)} is no run's id; it looks like log-digest@20261123T020000Z.`,
      );
    return parsed;
  }

  /** Whether a run's ledger is there. False where the id is none. */
  exists(run: string): boolean {
    return parseRunId(run) !== undefined && existsSync(this.runLedger(run));
  }

  /** The pipelines that have a folder, by name. */
  pipelines(): string[] {
    return namesIn(this.runsDir)
      .filter((name) => PIPELINE_NAME.test(name))
      .toSorted();
  }

  /** The months that a pipeline has runs in, the oldest first. */
  months(pipeline: string): string[] {
    return namesIn(this.pipelineDir(pipeline))
      .filter((name) => MONTH.test(name))
      .toSorted();
  }

  /**
   * A pipeline's runs, ordered by the time in their ids. Reads no more month folders than it needs.
   */
  list(pipeline: string, options: ListOptions = {}): string[] {
    const { newestFirst = false, limit = Infinity } = options;
    const months = newestFirst ? this.months(pipeline).toReversed() : this.months(pipeline);
    const runs: string[] = [];
    for (const month of months) {
      if (runs.length >= limit) break;
      runs.push(...this.#runsOf(pipeline, month, newestFirst));
    }
    return runs.length > limit ? runs.slice(0, limit) : runs;
  }

  /**
   * A pipeline's runs of one month folder (`YYYY-MM`), the oldest first.
   *
   * @param isWanted asked by name, before an id is taken apart: what it can rule out of a full
   *   month costs next to nothing
   */
  listMonth(pipeline: string, month: string, isWanted?: (run: string) => boolean): string[] {
    return this.#runsOf(pipeline, month, false, isWanted);
  }

  /** The runs of one month, ordered by the time in their ids. */
  #runsOf(
    pipeline: string,
    month: string,
    newestFirst: boolean,
    isWanted: (run: string) => boolean = () => true,
  ): string[] {
    const runs = namesIn(join(this.pipelineDir(pipeline), month))
      .filter((name) => name.endsWith(LEDGER))
      .map((name) => name.slice(0, -LEDGER.length))
      .filter(isWanted)
      .map((run) => ({ run, id: parseRunId(run) }))
      .filter(({ id }) => id?.pipeline === pipeline && id.month === month)
      .toSorted((a, b) => a.id!.stampMs - b.id!.stampMs || (a.run < b.run ? -1 : 1))
      .map(({ run }) => run);
    return newestFirst ? runs.toReversed() : runs;
  }

  /**
   * The first id at or after `nowMs` that no run by hand has. Creating its ledger is what takes it.
   */
  nextManual(pipeline: string, nowMs: number): string {
    return this.#nextFree((n) => manualRunId(pipeline, nowMs + n - 1));
  }

  /** The id of the next backfill of a slot. Creating its ledger is what takes it. */
  nextBackfill(pipeline: string, slotMs: number, schedule?: string): string {
    return this.#nextFree((n) => backfillRunId(pipeline, slotMs, n, schedule));
  }

  /**
   * The id of the next re-run of a run. Creating its ledger is what takes it. @throws RangeError
   * where the id is none
   */
  nextRerun(run: string): string {
    return this.#nextFree((n) => rerunRunId(run, n));
  }

  #nextFree(nth: (n: number) => string): string {
    for (let n = 1; ; n += 1) {
      const id = nth(n);
      if (!this.exists(id)) return id;
    }
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw error;
  }
}
