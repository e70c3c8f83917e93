/**
 * The newest lines of all ledgers, of pipelines and of their runs, and what is written from then
 * on: `orchd tail`, and `follow()` of a program.
 *
 * Runs are found through the pipeline's ledger, which names each run as it starts and ends; no
 * month folder is listed. The ledger of an active run is followed until the run ends, and a
 * pipeline's ledger across its rotation.
 */
import { defined } from "../core/defined.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "./json-line.ts";
import {
  runBegun,
  runEnded,
  type LedgerMark,
  type PipelineMark,
  type TailLine,
} from "./ledger-mark.ts";
import { LineFollower } from "./line-follower.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { pipelineLedgers } from "./run-history.ts";
import { pipelineOfRun } from "./run-reading.ts";

/** The ledgers that are followed. Close it after use. */
export class LedgerTail {
  readonly #store: RunStore;
  readonly #only: string | undefined;
  readonly #pipelines = new Map<string, LineFollower>();
  readonly #runs = new Map<string, LineFollower>();

  /** @param only the one pipeline that is followed. Default: all */
  constructor(store: RunStore, only?: string) {
    this.#store = store;
    this.#only = only;
  }

  /**
   * The last `count` lines of all ledgers; after this {@link look} gives the new ones.
   *
   * @param mark is told how far the ledgers are, whatever `count` is
   */
  begin(count: number, mark?: LedgerMark): TailLine[] {
    const own: TailLine[] = [];
    const taken = (lines: TailLine[]): TailLine[] => {
      for (const line of lines) mark?.took(line);
      return lines.slice(-Math.max(1, count));
    };
    for (const [pipeline, follower] of this.#list()) {
      // The active runs first: a run that ends before its ledger is read must not be missed.
      const active = new Set(readPipeline(this.#store, pipeline)?.state.active.keys() ?? []);
      const lines = linesOf(pipeline, undefined, follower.read());
      own.push(...taken(lines));
      for (const line of lines) {
        const begun = runBegun(line);
        if (begun !== undefined) active.add(begun);
        active.delete(runEnded(line) ?? "");
      }
      for (const run of active) {
        this.#followRun(run);
        if (mark?.runs.has(run) === false) mark.runs.set(run, 0);
      }
    }
    // A line of an ended run is among the last lines only if the pipeline's line about the end is.
    const last = inOrder(own).slice(-count);
    const named = new Set(
      last.flatMap(({ line }) => (typeof line["run"] === "string" ? [line["run"]] : [])),
    );
    const active = new Set(this.#runs.keys());
    const lines: TailLine[] = [...own];
    for (const run of new Set([...named, ...active])) {
      lines.push(...taken(linesOf(pipelineOfRun(run), run, this.#followRun(run)?.read() ?? [])));
      if (!active.has(run)) this.#leaveRun(run);
    }
    return count === 0 ? [] : inOrder(lines).slice(-count);
  }

  /** What was written after a mark; after this {@link look} gives the new lines. */
  resume(mark: LedgerMark): TailLine[] {
    const lines: TailLine[] = [];
    for (const [pipeline, follower] of this.#list()) {
      const known = mark.pipelines.get(pipeline);
      lines.push(...this.#after(pipeline, known, linesOf(pipeline, undefined, follower.read())));
    }
    for (const [run, seq] of mark.runs) {
      if (this.#only !== undefined && pipelineOfRun(run) !== this.#only) continue;
      const own = linesOf(pipelineOfRun(run), run, this.#followRun(run)?.read() ?? []);
      lines.push(...own.filter(({ line }) => Number(line["seq"]) > seq));
    }
    return this.#withRuns(lines);
  }

  /**
   * What was written since the last call.
   *
   * @param list look for new pipelines as well
   */
  look(list: boolean): TailLine[] {
    const lines: TailLine[] = [];
    for (const [pipeline, follower] of list ? this.#list() : this.#pipelines)
      lines.push(...linesOf(pipeline, undefined, follower.read()));
    return this.#withRuns(lines);
  }

  /** Closes every file. */
  close(): void {
    for (const follower of [...this.#pipelines.values(), ...this.#runs.values()]) follower.close();
    this.#pipelines.clear();
    this.#runs.clear();
  }

  /** Pipelines' lines that were just read, and the new lines of the runs that go on. */
  #withRuns(lines: TailLine[]): TailLine[] {
    const ended: string[] = [];
    for (const line of lines) {
      const begun = runBegun(line);
      if (begun !== undefined) this.#followRun(begun);
      const run = runEnded(line);
      if (run !== undefined) ended.push(run);
    }
    const own = [...this.#runs].flatMap(([run, follower]) =>
      linesOf(pipelineOfRun(run), run, follower.read()),
    );
    // A run's own last line is written before the pipeline's line about the end, and the run's
    // ledger was read after that line: no more lines can come.
    for (const run of ended) this.#leaveRun(run);
    return inOrder([...lines, ...own]);
  }

  #list(): ReadonlyMap<string, LineFollower> {
    for (const pipeline of this.#only === undefined ? this.#store.pipelines() : [this.#only]) {
      if (!this.#pipelines.has(pipeline))
        this.#pipelines.set(pipeline, new LineFollower(this.#store.pipelineLedger(pipeline)));
    }
    return this.#pipelines;
  }

  /**
   * A pipeline's lines after a mark.
   *
   * @param present the lines of the ledger that is in use
   */
  #after(pipeline: string, known: PipelineMark | undefined, present: TailLine[]): TailLine[] {
    if (known !== undefined && present[0]?.line["crc"] === known.first)
      return present.filter(({ line }) => Number(line["seq"]) > known.seq);
    const files = [present];
    for (const path of pipelineLedgers(this.#store, pipeline).slice(1)) {
      const older = allLines(pipeline, path);
      if (known !== undefined && older[0]?.line["crc"] === known.first)
        return [older.filter(({ line }) => Number(line["seq"]) > known.seq), ...files].flat();
      files.unshift(older);
    }
    const lines = files.flat();
    // The ledger of the mark is gone: it was pruned, or somebody put another in its place.
    return known === undefined ? lines : lines.filter(({ line }) => String(line["at"]) > known.at);
  }

  #followRun(run: string): LineFollower | undefined {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    try {
      const follower = new LineFollower(this.#store.runLedger(run));
      this.#runs.set(run, follower);
      return follower;
    } catch {
      // The line names something that is no run's id: there is no file to follow.
      return undefined;
    }
  }

  #leaveRun(run: string): void {
    this.#runs.get(run)?.close();
    this.#runs.delete(run);
  }
}

function allLines(pipeline: string, path: string): TailLine[] {
  const follower = new LineFollower(path);
  try {
    return linesOf(pipeline, undefined, follower.read());
  } finally {
    follower.close();
  }
}

function linesOf(pipeline: string, run: string | undefined, raw: readonly string[]): TailLine[] {
  return raw.flatMap((text) => {
    const line = parseObject(text);
    return line === undefined ? [] : [{ pipeline, ...defined({ run }), line }];
  });
}

/**
 * Lines by time. Lines of one ledger stay in their order, also where the clock went back. Of one
 * moment the pipeline's line comes last, because it is written last.
 */
function inOrder(lines: readonly TailLine[]): TailLine[] {
  const latest = new Map<string, string>();
  const keyed = lines.map((given) => {
    const { pipeline, run, line } = given;
    const ledger = run ?? pipeline;
    const at = `${typeof line["at"] === "string" ? line["at"] : ""}${run === undefined ? "~" : ""}`;
    const before = latest.get(ledger);
    const key = before !== undefined && before > at ? before : at;
    latest.set(ledger, key);
    return [key, given] as const;
  });
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, given]) => given);
}
