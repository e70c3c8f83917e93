/**
 * The active runs of all pipelines, and the runs that wait for their turn.
 *
 * An entry is reserved at the moment of the decision, before the run's ledger exists: the next
 * decision counts it. When the ledger is durable, the entry gets its handle. When the run's line is
 * given to the pipeline's ledger, the entry is recorded: the line of its end comes later. When a
 * run ends, all that wait are looked at again (core/admission.ts).
 *
 * A run is removed only when it ends.
 */
import type { Clock } from "../clock.ts";
import {
  admit,
  waitsFor,
  type Busy,
  type Limits,
  type Load,
  type Waiting,
} from "../core/admission.ts";
import { defined } from "../core/defined.ts";
import { refused } from "../core/request.ts";
import type { StopAnswer, StopOrder } from "../core/stop-order.ts";
import type { Log } from "../log.ts";
import { Later } from "./later.ts";
import type { QueueLimits, RunEnd, RunHandle } from "./ports.ts";

/** What is known of a run at the moment of the decision. */
export interface RunTicket extends Waiting {
  /**
   * The time that a `cancel` gives it between the graceful and the forced stop, in milliseconds.
   */
  readonly gracePeriodMs: number;
  /** The backfill that it belongs to: one has a limit of its own. */
  readonly backfill?: string | undefined;
  /** Why the run exists. */
  readonly kind: "schedule" | "catch_up" | "manual" | "backfill" | "rerun";
}

/** What a ticket has from its pipeline: how the pipeline's runs queue. */
export type QueueTerms = Pick<RunTicket, "lane" | "limit" | "group" | "priority">;

/** One run that is active or waits. */
export interface ActiveRun {
  ticket: RunTicket;
  /** It may start, or has started: it is active. */
  going: boolean;
  /** Why it may start, or what it waits for. */
  because: string;
  /** Since when it has been active, or has waited, under this daemon: monotonic milliseconds. */
  since: number;
  /** Resolves once its ledger exists; with undefined where the ledger could not be made. */
  readonly ready: Promise<RunHandle | undefined>;
  handle?: RunHandle | undefined;
}

/** Who is told. Each call comes after the run was recorded. */
export interface ActiveRunHandlers {
  /** A run that waited starts. */
  readonly onStarted: (run: ActiveRun) => void;
  readonly onFinished: (run: ActiveRun, end: RunEnd) => Promise<void>;
}

/** One run as it is kept here. */
class Entry implements ActiveRun {
  ticket: RunTicket;
  because: string;
  since: number;
  going = false;
  handle: RunHandle | undefined = undefined;
  ended = false;
  /** It could not be stopped to make room, and the log says so. */
  refused = false;
  /** Resolves once its end is recorded. */
  end: Promise<void> | undefined = undefined;
  readonly settled = new Later<RunHandle | undefined>();
  /** There once its line was given to its pipeline's ledger. */
  readonly recorded = new Later<void>();

  /** @param since monotonic milliseconds */
  constructor(ticket: RunTicket, because: string, since: number) {
    this.ticket = ticket;
    this.because = because;
    this.since = since;
  }

  /** See {@link ActiveRun}. */
  get ready(): Promise<RunHandle | undefined> {
    return this.settled.promise;
  }
}

/** A pipeline without runs. */
const IDLE: Busy = { running: [], queued: [] };

/** The active and the waiting runs of one daemon. */
export class ActiveRuns {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #handlers: ActiveRunHandlers;
  #limits: Limits;
  /** No waiting run may start: the limits are not known yet, or the daemon is about to end. */
  #holding: boolean;
  readonly #entries = new Map<string, Entry>();
  /** The same entries by pipeline, in the order of the decisions. */
  readonly #byPipeline = new Map<string, Set<Entry>>();
  readonly #waiting = new Set<Entry>();
  /**
   * Runs that were taken over and had started. They go on once the slots that came due are decided.
   */
  readonly #toGoOn: Entry[] = [];
  readonly #lanes = new Map<string, number>();
  readonly #groups = new Map<string, number>();
  #going = 0;

  /** @param options `holding`: nothing starts until {@link release} */
  constructor(options: {
    readonly clock: Clock;
    readonly log: Log;
    readonly limits: Limits;
    readonly handlers: ActiveRunHandlers;
    readonly holding?: boolean;
  }) {
    this.#holding = options.holding === true;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#limits = options.limits;
    this.#handlers = options.handlers;
  }

  /** Changes the limits that pipelines share. */
  setLimits(limits: Limits): void {
    this.#limits = limits;
    this.#serve();
  }

  /** An active or waiting run; undefined if there is no such run. */
  get(run: string): ActiveRun | undefined {
    return this.#entries.get(run);
  }

  /** How many runs are active or wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** All runs that are active or wait. */
  all(): Iterable<ActiveRun> {
    return this.#entries.values();
  }

  /** The ids of all runs that are active or wait. */
  ids(): Set<string> {
    return new Set(this.#entries.keys());
  }

  /** The runs of a pipeline that its overlap policy counts, oldest first. */
  busy(pipeline: string): Busy {
    const entries = this.#byPipeline.get(pipeline);
    if (entries === undefined) return IDLE;
    const running: string[] = [];
    const queued: string[] = [];
    for (const entry of entries) {
      if (entry.ticket.backfill === undefined)
        (entry.going ? running : queued).push(entry.ticket.run);
    }
    return { running, queued };
  }

  /** How many runs of a concurrency group wait. */
  waitingFor(group: string): number {
    let count = 0;
    for (const entry of this.#waiting) if (entry.ticket.group === group) count += 1;
    return count;
  }

  /** Whether a new run would have to wait. */
  mustWait(run: Waiting): boolean {
    return this.#holding || waitsFor(run, this.#load(), this.#limits) !== undefined;
  }

  /** How many runs of a backfill are active or wait. */
  ofBackfill(pipeline: string, id: string): number {
    let count = 0;
    for (const entry of this.#byPipeline.get(pipeline) ?? [])
      if (entry.ticket.backfill === id) count += 1;
    return count;
  }

  /** All runs of a pipeline, backfills included. */
  of(pipeline: string): ActiveRun[] {
    return [...(this.#byPipeline.get(pipeline) ?? [])];
  }

  /**
   * Counts a run from now on, and decides whether it may start.
   *
   * @param because why it may start
   * @param reason why it waits, where the caller knows better
   */
  reserve(ticket: RunTicket, because: string, reason?: string): ActiveRun {
    const entry = this.#add(new Entry(ticket, because, this.#clock.monotonic()));
    // The runs that wait already were looked at when they came, and each time a run ended. What
    // they wait for is no reason for this run to wait.
    const waits = waitsFor(ticket, this.#load(), this.#limits);
    if (waits === undefined && !this.#holding) {
      this.#go(entry);
      return entry;
    }
    this.#waiting.add(entry);
    entry.because = waits === undefined ? "the daemon is not ready yet" : (reason ?? waits);
    return entry;
  }

  /**
   * Takes over a run of an earlier daemon. A run that had started goes on, whatever the limits are
   * now. A run that had not waits. Neither moves before {@link release} and {@link goOn}.
   */
  takeOver(ticket: RunTicket, handle: RunHandle): ActiveRun {
    const begun = handle.state.phase === "started";
    const because = begun
      ? "it was running when the daemon ended"
      : "the daemon was restarted before its turn came";
    const entry = this.#add(new Entry(ticket, because, this.#clock.monotonic()));
    if (begun) this.#go(entry);
    else this.#waiting.add(entry);
    this.#watch(entry, handle);
    if (begun) this.#toGoOn.push(entry);
    if (!this.#holding) {
      this.goOn();
      this.#serve(entry);
    }
    return entry;
  }

  /**
   * The limits are known: waiting runs may start. Runs that were taken over and had started wait
   * for {@link goOn}.
   *
   * @param termsOf the terms of a run's pipeline, as far as they are known now
   */
  release(termsOf: (run: ActiveRun) => Partial<QueueTerms>): void {
    this.#lanes.clear();
    this.#groups.clear();
    this.#going = 0;
    for (const entry of this.#entries.values()) {
      const { backfill, lane, limit } = entry.ticket;
      entry.ticket = {
        ...entry.ticket,
        ...termsOf(entry),
        ...(backfill === undefined ? {} : { lane, limit }),
      };
      if (entry.going) this.#countIn(entry);
    }
    this.#holding = false;
    this.#serve();
  }

  /** Lets the runs go on that were taken over and had started. */
  goOn(): void {
    for (const entry of this.#toGoOn.splice(0))
      if (!entry.ended) entry.handle?.start(entry.because);
  }

  /** The run's ledger exists: the run starts or waits. */
  attach(run: ActiveRun, handle: RunHandle): void {
    const entry = run as Entry;
    this.#watch(entry, handle);
    if (entry.going) handle.start(entry.because);
    else {
      handle
        .queue(entry.because, this.#limitsOf(entry.ticket))
        .catch((error: unknown) =>
          this.#log.error(
            { run: entry.ticket.run, err: error },
            "a waiting run could not be recorded",
          ),
        );
    }
  }

  /**
   * The limits that a waiting run has to fit under, as far as they are known. For a run that was
   * taken over they are not known until {@link release}.
   */
  #limitsOf({ limit, group }: RunTicket): QueueLimits {
    const { groups, maxActiveRuns: total } = this.#limits;
    const inGroup = group === undefined ? undefined : groups[group];
    return defined({
      lane: limit === Number.POSITIVE_INFINITY ? undefined : limit,
      group: inGroup,
      total,
    });
  }

  #watch(entry: Entry, handle: RunHandle): void {
    entry.handle = handle;
    entry.settled.set(handle);
    entry.end = handle.finished
      .then(async (end) => {
        await entry.recorded.promise;
        this.#remove(entry);
        await this.#handlers.onFinished(entry, end);
      })
      .catch((error: unknown) =>
        this.#log.error(
          { run: entry.ticket.run, err: error },
          "the end of a run could not be recorded",
        ),
      );
  }

  /** The run's line was given to its pipeline's ledger. */
  record(run: ActiveRun): void {
    (run as Entry).recorded.set();
  }

  /** There is no run after all: its ledger could not be made, or exists already. */
  drop(run: ActiveRun): void {
    const entry = run as Entry;
    entry.settled.set(undefined);
    entry.recorded.set();
    this.#remove(entry);
  }

  /**
   * Asks a run to stop. Where its ledger does not exist yet, it is asked as soon as it does. The
   * stop is durable when this resolves.
   */
  async stop(run: string, order: StopOrder): Promise<StopAnswer> {
    const handle = await this.#entries.get(run)?.ready;
    if (handle === undefined) return refused(`run ${run} is not going on`);
    return handle.requestStop(order);
  }

  /**
   * Stops runs to make room for a newer one. Where one refuses, the newer run says that it waits
   * for a run that cannot be stopped, and the log says so once for each of these.
   *
   * @param mode graceful: by force after their grace period. force: at once
   * @param newer the newer run, which is reserved in the same turn
   */
  makeRoom(
    runs: readonly string[],
    mode: "graceful" | "force",
    because: string,
    newer: string,
  ): void {
    for (const run of runs) {
      const entry = this.#entries.get(run);
      if (entry === undefined) continue;
      const ask = (how: "graceful" | "force"): void => {
        this.stop(run, { mode: how, by: "orchd", because }).then(
          (answer) => void (answer.accepted || this.#refusedRoom(entry, newer, answer.reason)),
          (error: unknown) =>
            this.#log.error({ run, err: error }, "a run could not be stopped to make room"),
        );
      };
      ask(mode);
      if (mode === "force") continue;
      const timer = this.#clock.after(entry.ticket.gracePeriodMs, () => {
        if (!entry.ended) ask("force");
      });
      void entry.ready.then((handle) => handle?.finished.then(() => timer.cancel()));
    }
  }

  #refusedRoom(entry: Entry, newer: string, reason: string): void {
    const state = entry.handle?.state;
    // Its end is under way already.
    if (entry.ended || state?.finished !== undefined || state?.stop !== undefined) return;
    const why = reason.charAt(0).toLowerCase() + reason.slice(1).replace(/\.$/, "");
    const waiting = this.#entries.get(newer);
    if (waiting?.going === false && waiting.handle === undefined)
      waiting.because = `run ${entry.ticket.run} still goes on, and cannot be stopped: ${why}`;
    if (entry.refused) return;
    entry.refused = true;
    const { run, pipeline } = entry.ticket;
    this.#log.warn(
      { run, pipeline, waits: newer },
      `run ${run} cannot be stopped to make room for ${newer}, which waits: ${why}`,
    );
  }

  /**
   * Drains the active runs; no waiting run starts any more. Resolves when all have ended or were
   * interrupted.
   */
  async drain(periodMs: number): Promise<void> {
    this.#holding = true;
    const drains = [...this.#entries.values()].map(async (entry) => {
      const handle = await entry.ready;
      if (handle === undefined || entry.ended) return;
      await handle.drain(periodMs);
      if (handle.state.phase === "finished") await entry.end;
    });
    await Promise.all(drains);
  }

  #add(entry: Entry): Entry {
    const { run, pipeline } = entry.ticket;
    this.#entries.set(run, entry);
    let siblings = this.#byPipeline.get(pipeline);
    if (siblings === undefined) this.#byPipeline.set(pipeline, (siblings = new Set()));
    siblings.add(entry);
    return entry;
  }

  #remove(entry: Entry): void {
    if (entry.ended) return;
    entry.ended = true;
    const { run, pipeline } = entry.ticket;
    if (this.#entries.get(run) === entry) this.#entries.delete(run);
    const siblings = this.#byPipeline.get(pipeline);
    siblings?.delete(entry);
    if (siblings?.size === 0) this.#byPipeline.delete(pipeline);
    this.#waiting.delete(entry);
    if (entry.going) this.#leave(entry);
    this.#serve();
  }

  #leave({ ticket }: Entry): void {
    add(this.#lanes, ticket.lane, -1);
    if (ticket.group !== undefined) add(this.#groups, ticket.group, -1);
    this.#going -= 1;
  }

  #go(entry: Entry): void {
    entry.going = true;
    entry.since = this.#clock.monotonic();
    this.#countIn(entry);
  }

  #countIn(entry: Entry): void {
    add(this.#lanes, entry.ticket.lane, 1);
    if (entry.ticket.group !== undefined) add(this.#groups, entry.ticket.group, 1);
    this.#going += 1;
  }

  #load(): Load {
    return { lanes: this.#lanes, groups: this.#groups, total: this.#going };
  }

  /**
   * Starts the waiting runs that may start now.
   *
   * @param told a run whose beginning the caller records
   */
  #serve(told?: Entry): void {
    if (this.#holding || this.#waiting.size === 0) return;
    const waiting = [...this.#waiting].map(({ ticket }) => ticket);
    for (const said of admit(waiting, this.#load(), this.#limits)) {
      const entry = this.#entries.get(said.run)!;
      if (!said.start || entry.handle?.state.stop !== undefined) continue;
      this.#waiting.delete(entry);
      this.#go(entry);
      entry.because = `its turn came: ${entry.because}`;
      if (entry.handle === undefined) continue;
      entry.handle.start(entry.because);
      if (entry !== told) void entry.recorded.promise.then(() => this.#handlers.onStarted(entry));
    }
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
