/**
 * What an earlier daemon carried out and may not have answered: it left a line or a header with the
 * request's id.
 *
 * Many requests may have been left at once. So each ledger is read once for all of them, however
 * many name the same pipeline or run. Reading gives way to the event loop.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { RunLine } from "../core/event.ts";
import { readHeaderLine } from "../ledger/header-line.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";

/** The most runs of a pipeline whose headers are read to find the run that a request made. */
const RUNS_SEARCHED = 2_000;
/** How many headers are read in one turn of the event loop. */
const HEADERS_AT_ONCE = 50;

/** Runs by the id of the request that made them. */
type RunsByRequest = ReadonlyMap<string, string>;

/** The traces under one runs folder. They are read when they are first asked for. */
export class EarlierTraces {
  readonly #store: RunStore;
  /** By pipeline. */
  readonly #byHand = new Map<string, Promise<RunsByRequest>>();
  /** By the id of the first run. */
  readonly #reruns = new Map<string, Promise<RunsByRequest>>();
  readonly #stops = new Map<string, ReadonlySet<string>>();

  constructor(store: RunStore) {
    this.#store = store;
  }

  /** The run of a pipeline that a request made; undefined if it made none. */
  async runBy(requestId: string, pipeline: string): Promise<string | undefined> {
    let runs = this.#byHand.get(pipeline);
    if (runs === undefined) this.#byHand.set(pipeline, (runs = this.#madeByHand(pipeline)));
    return (await runs).get(requestId);
  }

  /** The re-run of a run that a request made; undefined if it made none. */
  async rerunBy(requestId: string, run: string): Promise<string | undefined> {
    const { first } = this.#store.parseRunId(run);
    let runs = this.#reruns.get(first);
    if (runs === undefined) this.#reruns.set(first, (runs = this.#madeFrom(first)));
    return (await runs).get(requestId);
  }

  /** Whether a run's ledger holds the stop that a request asked for. */
  hasStop(requestId: string, run: string): boolean {
    let stops = this.#stops.get(run);
    if (stops === undefined) this.#stops.set(run, (stops = this.#stopsOf(run)));
    return stops.has(requestId);
  }

  /** Forgets what was read: no request is left that an earlier daemon may have carried out. */
  forget(): void {
    this.#byHand.clear();
    this.#reruns.clear();
    this.#stops.clear();
  }

  async #madeByHand(pipeline: string): Promise<RunsByRequest> {
    const found: string[] = [];
    for (const month of this.#store.months(pipeline).toReversed()) {
      if (found.length >= RUNS_SEARCHED) break;
      const runs = this.#store.listMonth(pipeline, month, (run) => run.endsWith("-m"));
      for (const run of runs.toReversed()) found.push(run);
      await nextTurn();
    }
    return this.#requestsOf(found.slice(0, RUNS_SEARCHED));
  }

  #madeFrom(first: string): Promise<RunsByRequest> {
    const { pipeline, month } = this.#store.parseRunId(first);
    const isRerun = (run: string): boolean => run.startsWith(`${first}-r`);
    return this.#requestsOf(this.#store.listMonth(pipeline, month, isRerun));
  }

  async #requestsOf(runs: readonly string[]): Promise<RunsByRequest> {
    const found = new Map<string, string>();
    for (const [index, run] of runs.entries()) {
      if (index % HEADERS_AT_ONCE === HEADERS_AT_ONCE - 1) await nextTurn();
      const header = readHeaderLine(this.#store.runLedger(run));
      if (header?.type !== "run.submitted") continue;
      const { requestId } = header.trigger;
      // The newest comes first.
      if (requestId !== undefined && !found.has(requestId)) found.set(requestId, run);
    }
    return found;
  }

  #stopsOf(run: string): ReadonlySet<string> {
    const stops = new Set<string>();
    if (!this.#store.exists(run)) return stops;
    readLedger<RunLine>(this.#store.runLedger(run), {
      each: (line) => {
        if (line.type === "run.stop_requested" && line.requestId !== undefined)
          stops.add(line.requestId);
      },
    });
    return stops;
  }
}
