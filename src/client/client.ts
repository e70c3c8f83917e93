/**
 * A root as another program sees it: it reads ledgers, and leaves requests. It holds no lock and no
 * file, runs nothing, and works with the daemon down.
 */
import { defined } from "../core/defined.ts";
import type { RequestInput } from "../core/request.ts";
import type { Json } from "../core/snapshot.ts";
import type { Status } from "../core/status.ts";
import { DAY_MS, iso } from "../core/time.ts";
import { RunStore } from "../ledger/run-store.ts";
import { FollowedRun } from "../views/followed-run.ts";
import { knownPipeline } from "../views/known-pipeline.ts";
import type { PipelineView } from "../views/pipeline-view.ts";
import { readPlacesView } from "../views/places-reading.ts";
import type { PlacesView } from "../views/places.ts";
import type { Roots } from "../views/roots.ts";
import { runsByMention, type RunSummary } from "../views/run-list.ts";
import { viewRunNow, type RunView } from "../views/run-view.ts";
import { slotDecisions } from "../views/slot-decisions.ts";
import type { SlotOutcome } from "../views/slot-outcome.ts";
import { readStatus, type StatusView } from "../views/status-view.ts";
import { answerOf, askDaemonOf, type Answer, type Question } from "./asking.ts";
import { ClientError } from "./client-error.ts";
import { followLedgers, type Follow, type FollowOptions } from "./follow.ts";
import { LOOK_MS, pause } from "./looking.ts";
import { runOutput, type LogLine, type LogOptions } from "./run-output.ts";
import { seen } from "./seen.ts";

/** A moment: a Date, or ISO 8601 with an offset. */
export type Moment = Date | string;

/** Which runs are given. */
export interface RunsOptions {
  /** Only this pipeline's. */
  readonly pipeline?: string | undefined;
  readonly status?: Status | undefined;
  /** Only runs that were made then or later. */
  readonly since?: Moment | undefined;
  /** The most that are given. Default: all. */
  readonly limit?: number | undefined;
}

/** Which slots are given. */
export interface SlotsOptions {
  /** Only this pipeline's. */
  readonly pipeline?: string | undefined;
  /** Default: a day before `to`. */
  readonly from?: Moment | undefined;
  /** Default: now. */
  readonly to?: Moment | undefined;
}

/** How a run is asked for. */
export interface SubmitOptions {
  readonly params?: { readonly [name: string]: Json } | undefined;
  /** Run every step, whatever the cache holds. */
  readonly noCache?: boolean | undefined;
  /** Refused if the daemon takes the request up later. */
  readonly notAfter?: Moment | undefined;
}

/** Which slots are run again. */
export interface BackfillOptions {
  readonly from: Moment;
  /** Itself as well. */
  readonly to: Moment;
  /** Default: `missing`. */
  readonly which?: "missing" | "failed" | "all" | undefined;
  /** Only the slots of this schedule, by its name. */
  readonly schedule?: string | undefined;
  readonly params?: { readonly [name: string]: Json } | undefined;
  /** How many runs at once. Default: 1. */
  readonly maxActive?: number | undefined;
}

/** Which runs are removed. Default: those that retention no longer keeps. */
export interface PruneOptions {
  readonly pipeline?: string | undefined;
  readonly keepDays?: number | undefined;
  readonly keepRuns?: number | undefined;
  readonly keepBytes?: number | undefined;
  /** Tell what would be removed, and remove nothing. */
  readonly dryRun?: boolean | undefined;
}

/**
 * A root, for reading and asking: what {@link connect} gives.
 *
 * Each question resolves with the daemon's reply; a refusal is a reply too. While no daemon runs,
 * `accepted` is null: the request is kept, and the next daemon honours it. What cannot be read or
 * asked rejects with a {@link ClientError}.
 */
export class Client {
  /** The root's folders. */
  readonly roots: Roots;
  readonly #store: RunStore;
  readonly #by: string;

  /** @param by which program asks: the remark that requests carry */
  constructor(roots: Roots, by: string) {
    this.roots = roots;
    this.#store = new RunStore(roots.runs);
    this.#by = by;
  }

  /** What is scheduled, running and failing; of one pipeline, if it is named. */
  async status(pipeline?: string): Promise<StatusView> {
    return seen(readStatus(this.roots, pipeline, Date.now())).view;
  }

  /** Where steps run: each place, what runs there now, why it takes no work, and what waits. */
  async places(): Promise<PlacesView> {
    return readPlacesView(this.#store, Date.now());
  }

  /** The pipelines, by name. */
  async *pipelines(): AsyncGenerator<PipelineView> {
    yield* (await this.status()).pipelines;
  }

  /** One run. */
  async run(id: string): Promise<RunView> {
    return seen(viewRunNow(this.#store, id)).view;
  }

  /** Runs, those first of which a pipeline's ledger spoke last. No more is read than is taken. */
  async *runs({ pipeline, status, since, limit }: RunsOptions = {}): AsyncGenerator<RunSummary> {
    if (pipeline !== undefined) this.#know(pipeline);
    const found = runsByMention(this.#store, this.#named(pipeline), {
      status,
      sinceMs: since === undefined ? Number.NEGATIVE_INFINITY : momentOf(since, "since"),
    });
    let left = limit ?? Number.POSITIVE_INFINITY;
    if (left > 0)
      for (const run of found) {
        yield run;
        if ((left -= 1) <= 0) return;
      }
  }

  /** The slots that have a decision, pipeline by pipeline, in the order of their ledger. */
  async *slots({ pipeline, from, to }: SlotsOptions = {}): AsyncGenerator<SlotOutcome> {
    if (pipeline !== undefined) this.#know(pipeline);
    const until = to === undefined ? Date.now() : momentOf(to, "to");
    const since = from === undefined ? until - DAY_MS : momentOf(from, "from");
    for (const name of this.#named(pipeline)) yield* slotDecisions(this.#store, name, since, until);
  }

  /** What a run's steps printed. */
  logs(run: string, options: LogOptions = {}): AsyncGenerator<LogLine> {
    return runOutput(this.#store, run, options);
  }

  /** The ledgers' lines, as they are written. Its `for await` rejects where nothing is given. */
  follow(options: FollowOptions = {}): Follow {
    const { pipeline } = options;
    return followLedgers(this.#store, options, () => {
      if (pipeline !== undefined) this.#know(pipeline);
    });
  }

  /**
   * Waits for a run's end, daemon up or down. Where only the pipeline's ledger tells the end, the
   * run has a `fault`; where the run's own ledger is gone, this rejects.
   *
   * @returns the run as it ended; as it stands, if the signal aborts before
   */
  async finished(
    run: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<RunView> {
    // A run that is not there rejects at once.
    await this.run(run);
    const followed = new FollowedRun(this.#store, run);
    try {
      for (;;) {
        followed.read();
        if (followed.isOver || signal?.aborted === true) break;
        await pause(LOOK_MS, signal);
      }
    } finally {
      followed.close();
    }
    return this.run(run);
  }

  /** Asks for a run. `run` of the answer is its id. */
  async submit(pipeline: string, options: SubmitOptions = {}): Promise<Answer> {
    const { params, noCache, notAfter } = options;
    return this.#askOf(pipeline, {
      type: "submit",
      pipeline,
      ...defined({ params, noCache, notAfter: textOf(notAfter, "notAfter") }),
    });
  }

  /** Asks for a run's end. @param options force: also end running steps, after the grace period */
  stop(run: string, { force = false }: { readonly force?: boolean } = {}): Promise<Answer> {
    return this.ask({ type: "stop", run, mode: force ? "force" : "graceful" });
  }

  /** Asks for a new run that reuses what is still valid of an old one. */
  rerun(
    run: string,
    options: {
      /** Only what failed, and what follows from it. */
      readonly failed?: boolean | undefined;
      /** The step from which everything runs again. */
      readonly from?: string | undefined;
      /** By the present file of the pipeline. */
      readonly edited?: boolean | undefined;
    } = {},
  ): Promise<Answer> {
    const { failed, from, edited } = options;
    return this.ask({ type: "rerun", run, ...defined({ failed, from, edited }) });
  }

  /** Stops a pipeline's schedule. */
  pause(pipeline: string): Promise<Answer> {
    return this.#askOf(pipeline, { type: "pause", pipeline });
  }

  /** Lets a pipeline's schedule go on. */
  resume(pipeline: string): Promise<Answer> {
    return this.#askOf(pipeline, { type: "resume", pipeline });
  }

  /**
   * Lets nobody be told of a pipeline until a time. Its schedule goes on.
   *
   * @param until null: people are told again
   */
  silence(
    pipeline: string,
    until: Date | string | null,
    { because }: { readonly because?: string | undefined } = {},
  ): Promise<Answer> {
    const end = until === null ? null : iso(momentOf(until, "until"));
    return this.#askOf(pipeline, {
      type: "silence",
      pipeline,
      until: end,
      ...defined({ because }),
    });
  }

  /** Asks for runs of past slots. `request` of the answer is the backfill's id. */
  async backfill(pipeline: string, { from, to, which, ...more }: BackfillOptions): Promise<Answer> {
    const { schedule, params, maxActive } = more;
    return this.#askOf(pipeline, {
      type: "backfill",
      pipeline,
      from: iso(momentOf(from, "from")),
      to: iso(momentOf(to, "to")),
      which: which ?? "missing",
      ...defined({ schedule, params, maxActive }),
    });
  }

  /** Ends a backfill. Runs that have begun go on. */
  cancelBackfill(id: string): Promise<Answer> {
    return this.ask({ type: "cancel_backfill", id });
  }

  /** Removes old runs. */
  prune(options: PruneOptions = {}): Promise<Answer> {
    const { pipeline, keepDays, keepRuns, keepBytes, dryRun } = options;
    return this.ask({
      type: "prune",
      ...defined({ pipeline, keepDays, keepRuns, keepBytes, dryRun }),
    });
  }

  /** Asks anything that docs/requests.md lists. */
  async ask(question: Question): Promise<Answer> {
    return answerOf(await askDaemonOf(this.roots.runs, question, { by: this.#by }));
  }

  async #askOf(pipeline: string, question: Extract<RequestInput, { pipeline: string }>) {
    this.#know(pipeline);
    return await this.ask(question);
  }

  #know(pipeline: string): void {
    seen(knownPipeline(this.roots, pipeline));
  }

  #named(pipeline: string | undefined): readonly string[] {
    return pipeline === undefined ? this.#store.pipelines() : [pipeline];
  }
}

function momentOf(moment: Moment, name: string): number {
  // In JavaScript anything may be given.
  const time = moment instanceof Date ? moment.getTime() : Date.parse(moment);
  if (Number.isNaN(time))
    throw new ClientError(
      "usage",
      `${name} is no moment: ${JSON.stringify(moment)}; give a Date, or ISO 8601 with an offset.`,
    );
  return time;
}

function textOf(moment: Moment | undefined, name: string): string | undefined {
  return moment === undefined ? undefined : iso(momentOf(moment, name));
}
