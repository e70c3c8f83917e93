/**
 * The runs that go on and those that wait for their turn, of all pipelines.
 *
 * An entry is reserved the moment a run is decided on, before its ledger exists, so that the next
 * decision counts it. It then gets its handle (the ledger is durable) and is recorded (its line is
 * on its way into the pipeline's ledger, so that its end comes after it). Whenever a run ends, all
 * that wait are looked at again (core/admission.ts).
 *
 * A run leaves with its end, and with nothing else.
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
import type { StopAnswer, StopOrder } from "../core/stop-order.ts";
import type { Log } from "../log.ts";
import type { QueueLimits, RunEnd, RunHandle } from "./ports.ts";

/** What is known of a run when it is decided on. */
export interface RunTicket extends Waiting {
  /** What a `cancel` gives it between the graceful stop and the forced one, in milliseconds. */
  readonly gracePeriodMs: number;
  /** It belongs to a backfill, which has a limit of its own. */
  readonly backfill?: string | undefined;
  /** It counts for its pipeline's overlap and nothing else waits for it. */
  readonly kind: "schedule" | "catch_up" | "manual" | "backfill" | "rerun";
}

/** What a ticket has from its pipeline: how the pipeline's runs queue. */
export type QueueTerms = Pick<RunTicket, "lane" | "limit" | "group" | "priority">;

/** One run that goes on or waits. */
export interface ActiveRun {
  ticket: RunTicket;
  /** It may start, or has started. */
  going: boolean;
  /** Why it may start, or what it waits for. */
  because: string;
  /** Since when it has gone on, or waited, under this daemon: monotonic milliseconds. */
  since: number;
  /** Resolves once its ledger exists; undefined if that came to nothing. */
  readonly ready: Promise<RunHandle | undefined>;
  handle?: RunHandle;
}

/** Who is told; each call comes after the run's slot line is on its way. */
export interface ActiveRunHandlers {
  /** A run that waited starts. */
  readonly onStarted: (run: ActiveRun) => void;
  readonly onFinished: (run: ActiveRun, end: RunEnd) => Promise<void>;
}

interface Entry extends ActiveRun {
  readonly settle: (handle: RunHandle | undefined) => void;
  readonly recorded: Promise<void>;
  readonly record: () => void;
  ended: boolean;
  /** Its end is recorded. */
  end?: Promise<void>;
}

/** See the head of this file. */
export class ActiveRuns {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #handlers: ActiveRunHandlers;
  #limits: Limits;
  /**
   * Nothing that waits may start: what limits hold is not known yet, or the daemon is about to end.
   */
  #holding: boolean;
  readonly #entries = new Map<string, Entry>();
  /** The same entries by pipeline, in the order in which they were decided on. */
  readonly #byPipeline = new Map<string, Set<Entry>>();
  readonly #waiting = new Set<Entry>();
  /** Taken over, had begun, and are to go on once what came due is decided. */
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

  /** The limits that pipelines share, from now on. */
  setLimits(limits: Limits): void {
    this.#limits = limits;
    this.#serve();
  }

  /** A run that goes on or waits; undefined if there is no such run. */
  get(run: string): ActiveRun | undefined {
    return this.#entries.get(run);
  }

  /** How many runs go on or wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** All runs that go on or wait. */
  all(): Iterable<ActiveRun> {
    return this.#entries.values();
  }

  /** The ids of all runs that go on or wait. */
  ids(): Set<string> {
    return new Set(this.#entries.keys());
  }

  /** The runs of a pipeline that its overlap rule counts, oldest first. */
  busy(pipeline: string): Busy {
    const running: string[] = [];
    const queued: string[] = [];
    for (const entry of this.#byPipeline.get(pipeline) ?? []) {
      if (entry.ticket.backfill === undefined)
        (entry.going ? running : queued).push(entry.ticket.run);
    }
    return { running, queued };
  }

  /** How many runs wait for a place in a concurrency group. */
  waitingFor(group: string): number {
    let count = 0;
    for (const entry of this.#waiting) if (entry.ticket.group === group) count += 1;
    return count;
  }

  /** Whether a run that came now would have to wait. */
  mustWait(run: Waiting): boolean {
    return this.#holding || waitsFor(run, this.#load(), this.#limits) !== undefined;
  }

  /** How many runs of a backfill go on or wait. */
  ofBackfill(pipeline: string, id: string): number {
    let count = 0;
    for (const entry of this.#byPipeline.get(pipeline) ?? [])
      if (entry.ticket.backfill === id) count += 1;
    return count;
  }

  /** Runs of a pipeline, whatever made them. */
  of(pipeline: string): ActiveRun[] {
    return [...(this.#byPipeline.get(pipeline) ?? [])];
  }

  /**
   * Counts a run from now on, and says whether it may start.
   *
   * @param reason why it waits, where the caller knows better
   * @param because why it may start
   */
  reserve(ticket: RunTicket, because: string, reason?: string): ActiveRun {
    const entry = this.#add(makeEntry(ticket, because, this.#clock.monotonic()));
    // Those that wait already were looked at when they came, and whenever a run ended: what keeps
    // them is no reason for this one to wait.
    const waits = waitsFor(ticket, this.#load(), this.#limits);
    if (waits !== undefined) entry.because = reason ?? waits;
    else if (this.#holding) entry.because = "the daemon is not ready yet";
    else this.#go(entry);
    return entry;
  }

  /**
   * A run of an earlier daemon. One that had begun goes on, whatever the limits say now; one that
   * had not waits. Neither moves before {@link release} and {@link goOn}.
   */
  takeOver(ticket: RunTicket, handle: RunHandle): ActiveRun {
    const begun = handle.state.phase === "started";
    const because = begun
      ? "it was running when the daemon ended"
      : "the daemon was restarted before its turn came";
    const entry = this.#add(makeEntry(ticket, because, this.#clock.monotonic()));
    if (begun) this.#go(entry);
    this.#watch(entry, handle);
    entry.record();
    if (begun) this.#toGoOn.push(entry);
    if (!this.#holding) {
      this.goOn();
      this.#serve();
    }
    return entry;
  }

  /**
   * The limits are known: what waits may start. Runs that were taken over and had begun wait for
   * {@link goOn}.
   *
   * @param termsOf what is to be known of a run from now on
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

  /** Runs that were taken over and had begun go on. */
  goOn(): void {
    for (const entry of this.#toGoOn.splice(0))
      if (!entry.ended) entry.handle?.start(entry.because);
  }

  /** The run's ledger exists: it starts or waits. */
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
   * As far as they are known: while the daemon comes up, those of a run that it took over are not.
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
    entry.settle(handle);
    entry.end = handle.finished
      .then(async (end) => {
        await entry.recorded;
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

  /** The run's line is on its way into its pipeline's ledger. */
  record(run: ActiveRun): void {
    (run as Entry).record();
  }

  /** The run came to nothing: its ledger could not be made, or somebody else's is there. */
  drop(run: ActiveRun): void {
    const entry = run as Entry;
    entry.settle(undefined);
    entry.record();
    this.#remove(entry);
  }

  /**
   * Asks a run to stop; one that is still being made is asked as soon as it exists. Durable when
   * this resolves.
   */
  async stop(run: string, order: StopOrder): Promise<StopAnswer> {
    const handle = await this.#entries.get(run)?.ready;
    if (handle === undefined) return { accepted: false, reason: `run ${run} is not going on` };
    return handle.requestStop(order);
  }

  /**
   * Makes room for a newer run: these are stopped, gracefully and after their grace period by
   * force, or by force at once.
   */
  makeRoom(runs: readonly string[], mode: "graceful" | "force", because: string): void {
    for (const run of runs) {
      const entry = this.#entries.get(run);
      if (entry === undefined) continue;
      const ask = (how: "graceful" | "force"): void => {
        this.stop(run, { mode: how, by: "orchd", because }).catch((error: unknown) =>
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

  /**
   * Nothing that waits starts any more; what goes on is drained. Resolves when all have ended or
   * were interrupted.
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
    this.#waiting.add(entry);
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
    this.#waiting.delete(entry);
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

  /** Lets those start that may now. */
  #serve(): void {
    if (this.#holding || this.#waiting.size === 0) return;
    const waiting = [...this.#waiting].map(({ ticket }) => ticket);
    for (const said of admit(waiting, this.#load(), this.#limits)) {
      const entry = this.#entries.get(said.run)!;
      if (!said.start || entry.handle?.state.stop !== undefined) continue;
      this.#go(entry);
      entry.because = `its turn came: ${entry.because}`;
      if (entry.handle === undefined) continue;
      entry.handle.start(entry.because);
      void entry.recorded.then(() => this.#handlers.onStarted(entry));
    }
  }
}

function makeEntry(ticket: RunTicket, because: string, since: number): Entry {
  let settle!: (handle: RunHandle | undefined) => void;
  let record!: () => void;
  const ready = new Promise<RunHandle | undefined>((resolve) => (settle = resolve));
  const recorded = new Promise<void>((resolve) => (record = resolve));
  return { ticket, because, since, going: false, ready, settle, recorded, record, ended: false };
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
