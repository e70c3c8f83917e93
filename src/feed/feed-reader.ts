/**
 * Reads the ledgers of a scope from a position on, line by line. It waits for nothing: whoever has
 * it says which pipelines' ledgers may have more (`stir`), and asks for the next line until there
 * is none.
 *
 * Runs are found through the pipeline's ledger, which names each run as it begins and ends: no
 * month folder is listed. A run's ledger is read from the moment that the pipeline's line which
 * begins it is the next one, and is read to its end before the line that ends it is given. So a
 * position that stands behind that line needs to say nothing of the run.
 *
 * Lines of several ledgers come by their time, as far as they are there together. Lines of one
 * ledger come in their order.
 */
import type { RunStore } from "../ledger/run-store.ts";
import { FeedItem, NOTHING_CHANGED, positionAfter, type LedgersChanged } from "./feed-item.ts";
import type { FeedScope } from "./feed-line.ts";
import { markCrc, type FeedPosition } from "./feed-position.ts";
import { PipelineSource } from "./pipeline-source.ts";
import { RunSource } from "./run-source.ts";
import { SourceOrder, type Source } from "./source-order.ts";
import { isTouched, type SeenFile } from "./seen-file.ts";
import { runEndedBy, runsBegunBy } from "./told-runs.ts";
import type { WholeLine } from "./whole-lines.ts";

/** The most ledgers that are looked at before one line: a thousand may be stirred in one moment. */
const FILLED_AT_ONCE = 64;

/** A reader of ledgers. It holds no file open. */
export class FeedReader {
  readonly #store: RunStore;
  readonly #scope: FeedScope;
  readonly #onRun: (run: RunSource) => void;
  readonly #pipelines = new Map<string, PipelineSource>();
  /** What the ledgers of other pipelines looked like when the position was read from them. */
  readonly #seen: Map<string, SeenFile>;
  /** The runs that go on. */
  readonly #runs = new Map<string, RunSource>();
  readonly #runsOf = new Map<string, Set<RunSource>>();
  readonly #stirred = new Set<Source>();
  readonly #ready = new SourceOrder();
  /** Whether the position is one of an earlier release, which has no checksums. */
  readonly #isOld: boolean;
  #position: FeedPosition;

  /**
   * @param onRun called with each run's ledger before it is read for the first time
   * @param seen what pipelines' ledgers looked like when the position was read from them: they are
   *   read only once they changed. It is kept
   */
  constructor(
    store: RunStore,
    position: FeedPosition,
    scope: FeedScope,
    onRun: (run: RunSource) => void = () => undefined,
    seen: Map<string, SeenFile> = new Map(),
  ) {
    this.#store = store;
    this.#position = position;
    this.#scope = scope;
    this.#onRun = onRun;
    this.#seen = seen;
    this.#isOld = [...position.marks()].some(({ crc }) => crc === undefined);
    if (scope.run !== undefined) this.#addRun(scope.run);
    else for (const { run } of position.marks()) if (run !== undefined) this.#addRun(run);
  }

  /** The position after the line that was given last. */
  get position(): FeedPosition {
    return this.#position;
  }

  /** The runs that go on. */
  get runs(): Iterable<RunSource> {
    return this.#runs.values();
  }

  /** The runs of a pipeline that go on. */
  runsOf(pipeline: string): Iterable<RunSource> {
    return this.#runsOf.get(pipeline) ?? [];
  }

  /** A pipeline's ledger and those of its runs may have more lines. */
  stir(pipeline: string): void {
    this.stirLedger(pipeline);
    for (const run of this.#runsOf.get(pipeline) ?? []) this.#stirred.add(run);
  }

  /** A pipeline's own ledger may have more lines. */
  stirLedger(pipeline: string): void {
    if (this.#scope.run !== undefined) return;
    if (this.#scope.pipeline !== undefined && this.#scope.pipeline !== pipeline) return;
    let source = this.#pipelines.get(pipeline);
    if (source === undefined) {
      source = new PipelineSource(this.#store, pipeline);
      this.#pipelines.set(pipeline, source);
      this.#seen.delete(pipeline);
    }
    this.#stirred.add(source);
  }

  /** A run's ledger may have more lines. Nothing happens if the run does not go on. */
  stirRun(run: string): void {
    const source = this.#runs.get(run);
    if (source !== undefined) this.#stirred.add(source);
  }

  /**
   * Stirs those of a pipeline's ledgers whose files changed since they were read.
   *
   * @returns whether there are such
   */
  stirTouched(pipeline: string): boolean {
    const stirred = this.#stirred.size;
    if (this.#isTouched(pipeline)) this.stirLedger(pipeline);
    for (const run of this.#runsOf.get(pipeline) ?? []) if (run.isTouched()) this.#stirred.add(run);
    return this.#stirred.size > stirred;
  }

  #isTouched(pipeline: string): boolean {
    const source = this.#pipelines.get(pipeline);
    if (source !== undefined) return source.isTouched();
    const seen = this.#seen.get(pipeline);
    return seen === undefined || isTouched(this.#store.pipelineLedger(pipeline), seen);
  }

  /** The next line; undefined if no ledger that was stirred has more. */
  next(): FeedItem | undefined {
    let first: Source | undefined;
    do {
      this.#fillStirred();
      first = this.#ready.first;
    } while (first === undefined && this.#stirred.size > 0);
    if (first === undefined) return undefined;
    const run = first instanceof PipelineSource ? this.#runThatEnds(first.head!) : undefined;
    // What the run wrote before its end comes before the line about the end.
    if (run !== undefined && this.#fill(run)) return this.#give(run);
    return this.#give(first);
  }

  #give(source: Source): FeedItem {
    const { isCut, pipeline, file, key, run } = source;
    if (source instanceof PipelineSource && source.hasJumped) this.#afterJump(pipeline);
    const line = source.take();
    const origin = { key, pipeline, run, file, isCut };
    const changed =
      source instanceof PipelineSource ? this.#changedBy(source, line) : NOTHING_CHANGED;
    this.#position = positionAfter(this.#position, origin, line, changed);
    for (const ended of changed.ended) this.#dropRun(ended);
    const item = new FeedItem(origin, line, changed, this.#position);
    if (!this.#fill(source)) this.#ready.remove(source);
    return item;
  }

  /** The position is one of an earlier release: it gets the checksum that it does not have. */
  #prove(source: Source): void {
    const { run } = source;
    const crc = source.crc;
    if (crc === undefined) return;
    const mark = run === undefined ? this.#position.file(source.key) : this.#position.run(run);
    if (mark !== undefined && mark.crc === undefined)
      this.#position = this.#position.with({ ...mark, crc: markCrc(crc) });
  }

  /** Reads more of a ledger, if its next line is not there. */
  #fill(source: Source): boolean {
    const isThere = source.fill(this.#position);
    if (this.#isOld) this.#prove(source);
    if (!isThere) return false;
    if (source instanceof PipelineSource) {
      for (const run of runsBegunBy(source.head!)) {
        const begun = this.#addRun(run, source.pipeline);
        if (begun !== undefined) this.#fill(begun);
      }
    }
    this.#ready.put(source);
    return true;
  }

  #fillStirred(): void {
    let filled = 0;
    for (const source of this.#stirred) {
      if ((filled += 1) > FILLED_AT_ONCE) return;
      this.#stirred.delete(source);
      this.#fill(source);
    }
  }

  /** Which ledgers are read after a pipeline's line. */
  #changedBy(source: PipelineSource, line: WholeLine): LedgersChanged {
    const left = source.leftFile();
    const begun = runsBegunBy(line).filter((run) => this.#runs.has(run));
    const run = this.#runThatEnds(line);
    const ended = run === undefined ? [] : [run.run];
    if (line.type === "pipeline.checkpoint")
      ended.push(...this.#orphansThatEnded(source.pipeline, new Set(begun)));
    if (left === undefined && begun.length === 0 && ended.length === 0) return NOTHING_CHANGED;
    return { left, begun, ended };
  }

  #runThatEnds(line: WholeLine): RunSource | undefined {
    const run = runEndedBy(line);
    return run === undefined ? undefined : this.#runs.get(run);
  }

  /** The lines that told of these runs' ends may be gone. */
  #afterJump(pipeline: string): void {
    for (const run of this.#runsOf.get(pipeline) ?? []) run.isOrphan = true;
  }

  /** Those of a pipeline's orphans have ended that its checkpoint does not name. */
  #orphansThatEnded(pipeline: string, active: ReadonlySet<string>): string[] {
    const ended: string[] = [];
    for (const source of this.#runsOf.get(pipeline) ?? []) {
      if (!source.isOrphan) continue;
      if (active.has(source.run)) source.isOrphan = false;
      else if (!this.#fill(source)) ended.push(source.run);
    }
    return ended;
  }

  /** @returns the run's ledger, if it is new here */
  #addRun(run: string, pipeline?: string): RunSource | undefined {
    if (this.#runs.has(run)) return undefined;
    let source: RunSource;
    try {
      source = new RunSource(this.#store, run);
    } catch {
      // The line names something that is no run's id: there is no file to read.
      return undefined;
    }
    if (pipeline !== undefined && source.pipeline !== pipeline) return undefined;
    this.#runs.set(run, source);
    const siblings = this.#runsOf.get(source.pipeline) ?? new Set();
    this.#runsOf.set(source.pipeline, siblings.add(source));
    this.#onRun(source);
    return source;
  }

  #dropRun(run: string): void {
    const source = this.#runs.get(run);
    if (source === undefined || this.#scope.run !== undefined) return;
    this.#runs.delete(run);
    const siblings = this.#runsOf.get(source.pipeline)!;
    siblings.delete(source);
    if (siblings.size === 0) this.#runsOf.delete(source.pipeline);
    this.#stirred.delete(source);
    this.#ready.remove(source);
  }
}
