/**
 * Where each file is under the runs folder (docs/ledger.md), and which files there are. It knows
 * names, not contents.
 *
 * Every path is made from checked names (run-id.ts), so no path can lead out of the folder.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  backfillRunId,
  manualRunId,
  parseRunId,
  PIPELINE_NAME,
  rerunRunId,
  runIdForSlot,
  type RunId,
} from "../core/run-id.ts";
import { errorCode } from "../disk/disk-error.ts";
import { isThere } from "../disk/path-fault.ts";
import { whyFullNow } from "../disk/room.ts";

const MONTH = /^\d{4}-\d\d$/;
const LEDGER = ".jsonl";

/** Which runs {@link RunStore.list} gives. */
export interface ListOptions {
  /** Default: the oldest first. */
  readonly newestFirst?: boolean | undefined;
  readonly limit?: number | undefined;
}

/** A run's id in its parts, and the folder of its files. */
interface TakenId {
  readonly run: string;
  readonly id: RunId;
  readonly dir: string;
}

/** The layout of one runs folder. */
export class RunStore {
  /** The runs folder, as the constructor got it. */
  readonly runsDir: string;
  /**
   * What stands before a name in that folder. It is joined once: that takes microseconds, and a
   * start over hundreds of pipelines asks for thousands of paths.
   */
  readonly #before: string;
  /** The id that was taken apart last, and its folder: paths of one run are asked for in a row. */
  #last: TakenId | undefined;

  constructor(runsDir: string) {
    this.runsDir = runsDir;
    this.#before = join(runsDir, "x").slice(0, -1);
  }

  /** The ledger of what people are told: core/notify-event.ts. */
  get notifyLedger(): string {
    return `${this.orchdDir}/notify.jsonl`;
  }

  /** `.orchd`: everything that belongs to no pipeline. */
  get orchdDir(): string {
    return `${this.#before}.orchd`;
  }

  /** Compiled step code: `SHA.mjs`. */
  get bundles(): string {
    return `${this.orchdDir}/bundles`;
  }

  /** Pipeline files as they were compiled, which is derived from them. */
  get compiled(): string {
    return `${this.orchdDir}/compiled`;
  }

  /** The pipelines' ledgers as the last daemon left them, which is derived from them. */
  get left(): string {
    return `${this.orchdDir}/left`;
  }

  /** Values that are too big for a line, named by their sha256. */
  get artifacts(): string {
    return `${this.orchdDir}/artifacts`;
  }

  /** What other processes ask for. */
  get requests(): string {
    return `${this.orchdDir}/requests`;
  }

  /** What the daemon answered. */
  get replies(): string {
    return `${this.orchdDir}/replies`;
  }

  /** The index of the cache, which is derived from the ledgers. */
  get cache(): string {
    return `${this.orchdDir}/cache`;
  }

  /** The same for steps in containers, which may outlive the daemon. */
  get containers(): string {
    return `${this.orchdDir}/containers`;
  }

  /** What places on other machines keep here, a folder each. */
  get places(): string {
    return `${this.orchdDir}/places`;
  }

  /** Files that exist while a step runs: its inputs, params and output. */
  get scratch(): string {
    return `${this.orchdDir}/scratch`;
  }

  /** What a runner leaves as its daemon dies: which steps had begun. */
  get claims(): string {
    return `${this.orchdDir}/claims`;
  }

  /** Why nothing more can be written here, as a clause; undefined: there is room. */
  whyFull(): string | undefined {
    return whyFullNow(this.runsDir);
  }

  /** A pipeline's folder. @throws RangeError if the name is not a pipeline's */
  pipelineDir(pipeline: string): string {
    if (!PIPELINE_NAME.test(pipeline))
      throw new RangeError(`${JSON.stringify(pipeline)} is no name of a pipeline.`);
    return this.#before + pipeline;
  }

  /** A pipeline's own ledger. @throws RangeError if the name is not a pipeline's */
  pipelineLedger(pipeline: string): string {
    return `${this.pipelineDir(pipeline)}/pipeline.jsonl`;
  }

  /** A run's ledger. @throws RangeError if the id is not a run's */
  runLedger(run: string): string {
    return `${this.runDir(run)}/${run}${LEDGER}`;
  }

  /**
   * What a run's steps printed; the file exists only if they did. @throws RangeError if the id is
   * not a run's
   */
  runLog(run: string): string {
    return `${this.runDir(run)}/${run}.log`;
  }

  /** The month folder of a run's files. @throws RangeError if the id is not a run's */
  runDir(run: string): string {
    return this.#taken(run).dir;
  }

  /**
   * The parts of a run's id. @throws RangeError if it is not a run's id; {@link parseRunId} of
   * core/run-id.ts does not throw
   */
  parseRunId(run: string): RunId {
    return this.#taken(run).id;
  }

  #taken(run: string): TakenId {
    const last = this.#last;
    if (last?.run === run) return last;
    const id = parseRunId(run);
    if (id === undefined)
      throw new RangeError(
        `${JSON.stringify(run)} is no run's id; it looks like log-digest@20261123T020000Z.`,
      );
    const { pipeline, month } = id;
    const isSameDir = last?.id.pipeline === pipeline && last.id.month === month;
    const dir = isSameDir ? last.dir : `${this.#before}${pipeline}/${month}`;
    return (this.#last = { run, id, dir });
  }

  /**
   * Whether the name of a run's ledger is taken, by a ledger or by anything else. False if the id
   * is not a run's.
   */
  exists(run: string): boolean {
    return parseRunId(run) !== undefined && isThere(this.runLedger(run));
  }

  /**
   * As {@link exists}, for very many runs of one pipeline: each month's folder is listed once, with
   * the first run of it.
   */
  looker(pipeline: string): (run: string) => boolean {
    const stamp = pipeline.length + 1;
    const folders = new Map<string, ReadonlySet<string> | undefined>();
    return (run) => {
      const month = `${run.slice(stamp, stamp + 4)}-${run.slice(stamp + 4, stamp + 6)}`;
      if (!folders.has(month)) folders.set(month, this.#namesOf(pipeline, month));
      return folders.get(month)?.has(`${run}${LEDGER}`) ?? this.exists(run);
    };
  }

  /** The names in a month's folder; undefined where it cannot be listed now. */
  #namesOf(pipeline: string, month: string): ReadonlySet<string> | undefined {
    try {
      return new Set(namesIn(join(this.pipelineDir(pipeline), month)));
    } catch {
      return undefined;
    }
  }

  /** The pipelines that have a folder, by name. */
  pipelines(): string[] {
    return namesIn(this.runsDir)
      .filter((name) => PIPELINE_NAME.test(name))
      .toSorted();
  }

  /** The months in which a pipeline has runs, oldest first. */
  months(pipeline: string): string[] {
    return monthsAmong(namesIn(this.pipelineDir(pipeline)));
  }

  /** A pipeline's runs, ordered by the time in their ids. Reads only the month folders it needs. */
  list(pipeline: string, options: ListOptions = {}): string[] {
    const { newestFirst = false, limit = Infinity } = options;
    const months = newestFirst ? this.months(pipeline).toReversed() : this.months(pipeline);
    const runs: string[] = [];
    for (const month of months) {
      if (runs.length >= limit) break;
      // One by one: the arguments of a call have to fit on the stack, and a month may hold a
      // million runs.
      for (const run of this.#runsOf(pipeline, month, newestFirst)) runs.push(run);
    }
    return runs.length > limit ? runs.slice(0, limit) : runs;
  }

  /**
   * A pipeline's runs of one month folder (`YYYY-MM`), oldest first.
   *
   * @param isWanted called with each name before its id is parsed: in a full month, a run that it
   *   rules out costs almost nothing
   */
  listMonth(pipeline: string, month: string, isWanted?: (run: string) => boolean): string[] {
    return this.#runsOf(pipeline, month, false, isWanted);
  }

  /** The runs of one month, ordered by the time in their ids. */
  #runsOf(
    pipeline: string,
    month: string,
    newestFirst: boolean,
    isWanted?: (run: string) => boolean,
  ): string[] {
    const names = namesIn(`${this.pipelineDir(pipeline)}/${month}`);
    const runs = this.runsAmong(names, pipeline, month, isWanted);
    return newestFirst ? runs.toReversed() : runs;
  }

  /** The same of a month folder whose names are known. */
  runsAmong(
    names: readonly string[],
    pipeline: string,
    month: string,
    isWanted: (run: string) => boolean = () => true,
  ): string[] {
    const runs: string[] = [];
    const stamps: number[] = [];
    let inOrder = true;
    // Ids of one kind are in order by their names. No more of them is kept than the time: a month
    // may hold a million runs.
    // What is not wanted is left out before the rest is put in order, which takes longest.
    const ledgers: string[] = [];
    for (const name of names)
      if (name.endsWith(LEDGER) && isWanted(name.slice(0, -LEDGER.length))) ledgers.push(name);
    for (const name of ledgers.sort()) {
      const run = name.slice(0, -LEDGER.length);
      const id = parseRunId(run);
      if (id?.pipeline !== pipeline || id.month !== month) continue;
      if (id.stampMs < (stamps.at(-1) ?? 0)) inOrder = false;
      runs.push(run);
      stamps.push(id.stampMs);
    }
    return inOrder
      ? runs
      : [...runs.keys()]
          .sort((a, b) => stamps[a]! - stamps[b]! || (runs[a]! < runs[b]! ? -1 : 1))
          .map((index) => runs[index]!);
  }

  /** The first free id of a run by hand, at or after `nowMs`. Creating the ledger takes the id. */
  nextManual(pipeline: string, nowMs: number): string {
    return this.#nextFree((n) => manualRunId(pipeline, nowMs + n - 1));
  }

  /** The id of the next backfill of a slot. Creating the ledger takes the id. */
  nextBackfill(pipeline: string, slotMs: number, schedule?: string): string {
    return this.#nextFree((n) => backfillRunId(pipeline, slotMs, n, schedule));
  }

  /**
   * The id of the next re-run of a run. Creating the ledger takes the id. @throws RangeError if the
   * id is not a run's
   */
  nextRerun(run: string): string {
    return this.#nextFree((n) => rerunRunId(run, n));
  }

  /**
   * A slot's runs, its backfills and their re-runs: those that are known, and those that were made
   * since. A new one has the first number that was free, so no folder is listed.
   */
  slotRuns(
    known: readonly string[],
    pipeline: string,
    slotMs: number,
    schedule?: string,
  ): string[] {
    const runs = new Set(known);
    const own = runIdForSlot(pipeline, slotMs, schedule);
    if (this.exists(own)) runs.add(own);
    this.#addTaken(runs, (n) => backfillRunId(pipeline, slotMs, n, schedule));
    const repeated = [...runs];
    for (const run of repeated) this.#addTaken(runs, (n) => rerunRunId(run, n));
    return [...runs];
  }

  #addTaken(runs: Set<string>, nth: (n: number) => string): void {
    for (let n = 1; runs.has(nth(n)) || this.exists(nth(n)); n += 1) runs.add(nth(n));
  }

  #nextFree(nth: (n: number) => string): string {
    for (let n = 1; ; n += 1) {
      const id = nth(n);
      if (!this.exists(id)) return id;
    }
  }
}

/** The month folders among the names in a pipeline's folder, oldest first. */
export function monthsAmong(names: readonly string[]): string[] {
  return names.filter((name) => MONTH.test(name)).toSorted();
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw error;
  }
}
