/**
 * The **engine** owns many runs. (A run-loop drives one; an orchestrator says how a run's steps
 * come to run; a place is where one runs.)
 *
 * It puts the parts of this room together, and holds what they share: one desk for each pipeline,
 * the active runs, the scheduler with its one timer, the decisions, the files and the requests.
 *
 * It starts in an order that a crash cannot confuse (semantics.md 23). It opens the ledgers, and
 * takes over unfinished runs without starting anything. It writes the stops that were asked for
 * meanwhile. Then it reads the drop folder once and decides the slots that were due. After that it
 * is ready.
 *
 * What it never does: run a user's code, read the ledger of an active run, keep a state that the
 * ledgers do not hold.
 *
 * It stays one file: the parts of the room know each other by what is put together here.
 */
import { defined } from "../core/defined.ts";
import type { LineListener } from "../core/durable-line.ts";
import { refused, type Reply } from "../core/request.ts";
import { parseRunId } from "../core/run-id.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { DAY_MS } from "../core/time.ts";
import type { LedgerHost } from "../ledger/ledger-host.ts";
import type { LeftLedgers } from "../ledger/left-ledgers.ts";
import type { ReadRequest } from "../ledger/requests.ts";
import type { FoldedRun } from "../ledger/folded-run.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { takeOver } from "./adopted-run.ts";
import { ActiveRuns } from "./active-runs.ts";
import { Backfills } from "./backfills.ts";
import { DueDecisions } from "./due-decisions.ts";
import { HourlyWork } from "./hourly-work.ts";
import { LedgerWatch } from "./ledger-watch.ts";
import { makeMonthFolders } from "./month-folders.ts";
import { OverdueWatch } from "./overdue-watch.ts";
import { FewAtOnce } from "./few-at-once.ts";
import type { DeskPorts, PipelineDesk } from "./pipeline-desk.ts";
import { PipelineDesks } from "./pipeline-desks.ts";
import { PipelineFiles, type FileChanges, type PipelineFilesPorts } from "./pipeline-files.ts";
import type { Log } from "../log.ts";
import type { RunMaker, UpkeepRequest } from "./ports.ts";
import { recoverRuns, type Recovered, type RecoveryPorts } from "./recovery.ts";
import { RequestHandlers, type Refreshed } from "./request-handlers.ts";
import { RequestInbox } from "./request-inbox.ts";
import { Rehearsal } from "./rehearsal.ts";
import { Scheduler, type ClockStep } from "./scheduler.ts";
import { SetAside } from "./set-aside.ts";
import { WallClock } from "./wall-clock.ts";

/** What the engine does every hour. */
export interface Hourly {
  readonly act: (engine: Engine) => Promise<void>;
  /** Asked every minute: whether to act before the hour is over. */
  readonly isWanted: (engine: Engine) => boolean;
}

/** What the engine is given. */
export interface EnginePorts extends LedgerHost {
  readonly log: Log;
  readonly store: RunStore;
  readonly maker: RunMaker;
  readonly settings: OrchdSettings;
  /**
   * When this daemon took the lock, in milliseconds since 1970. Slots that were due before it were
   * due while no daemon was up.
   */
  readonly upSince: number;
  /** The version of the time-zone data. */
  readonly tzdata: string;
  /** Loads a pipeline file. */
  readonly load: PipelineFilesPorts["load"];
  /** Reads a version that was kept: see `PipelineFilesPorts`. */
  readonly kept?: PipelineFilesPorts["kept"];
  /** The files that belong to a pipeline file: see `PipelineFilesPorts`. */
  readonly watch: (path: string, watched: readonly string[], since?: number) => void;
  /**
   * Looks at the drop folder now. When this resolves, {@link Engine.filesChanged} has been given
   * what changed.
   */
  readonly rescan: () => Promise<void>;
  /** A run as its ledger says, with its long fields; undefined if it has no header. */
  readonly folded: (run: string) => Promise<FoldedRun | undefined>;
  /** Slots were missed; their lines are durable. */
  readonly onMissed?: DeskPorts["onMissed"];
  /** Told the durable lines of every pipeline. */
  readonly onDurableLine?: LineListener | undefined;
  /** How the daemon before this one left the pipelines' ledgers; default: they are read. */
  readonly left?: LeftLedgers | undefined;
  /** What is done every hour: retention. */
  readonly hourly?: Hourly | undefined;
  /** Carries out prune, repair and rebuild. */
  readonly upkeep?: ((request: UpkeepRequest, engine: Engine) => Promise<Reply>) | undefined;
  /** Many decisions are about to be made in one turn of the event loop. */
  readonly onMany?: (() => void) | undefined;
  /** How often the requests folder is read even if its watcher is silent; default: one second. */
  readonly requestRescanMs?: number | undefined;
  /** How often it looks whether somebody touched ledgers, in milliseconds; default: 2.4 s. */
  readonly ledgerLookMs?: number | undefined;
}

/** The shortest time between two looks for runs that take long. */
const LOOK_MS = 15_000;
/** How many pipelines decide very many slots at a time: each waits for the disk, mostly. */
const BEHIND_AT_ONCE = 4;

/** The engine of one daemon. */
export class Engine {
  readonly #ports: EnginePorts;
  readonly #desks: PipelineDesks;
  readonly #runs: ActiveRuns;
  readonly #scheduler: Scheduler;
  readonly #files: PipelineFiles;
  readonly #inbox: RequestInbox;
  readonly #backfills: Backfills;
  #settings: OrchdSettings;
  readonly #wall: WallClock;
  readonly #due: DueDecisions;
  readonly #overdue: OverdueWatch;
  readonly #setAside: SetAside;
  readonly #watch: LedgerWatch;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #stopping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  readonly #hourly: HourlyWork;
  readonly #ending = new AbortController();
  /** It was stopped before the clock had been set: nothing was taken over. */
  #neverBegan = false;

  constructor(ports: EnginePorts) {
    this.#ports = ports;
    this.#settings = ports.settings;
    this.#runs = this.#activeRuns();
    const { clock, log, store } = ports;
    this.#setAside = new SetAside({ clock, log, orchdDir: store.orchdDir });
    this.#watch = this.#ledgerWatch();
    this.#wall = new WallClock({ clock, log, upSince: ports.upSince, desks: () => this.desks() });
    this.#desks = this.#pipelineDesks();
    this.#hourly = this.#hourlyWork();
    this.#backfills = new Backfills({ clock, log, store, runs: this.#runs });
    this.#due = new DueDecisions({ clock, decide: (name) => this.#desks.known(name)?.decide() });
    const rehearsal = this.#rehearsal();
    this.#scheduler = new Scheduler(clock, {
      onDue: (names) => this.#due.due(names),
      onEve: (names, due) => rehearsal.begin(names, due),
      onStep: (step) => this.#wall.stepped(step),
      onWake: () => this.#lookForLate(),
    });
    this.#overdue = this.#overdueWatch();
    this.#files = new PipelineFiles({
      clock,
      log,
      orchdDir: store.orchdDir,
      load: ports.load,
      kept: ports.kept,
      desk: (name) => this.desk(name),
      desks: () => this.desks(),
      known: (name) => this.#desks.known(name),
      unlessAside: (name, work) => this.#setAside.unlessAside(name, work),
      watch: ports.watch,
    });
    const handlers = this.#requestHandlers();
    this.#inbox = new RequestInbox({
      clock,
      log,
      store,
      rescanMs: ports.requestRescanMs,
      onFatal: ports.onFatal,
      accepts: (read) => !this.#mustWait(read),
      carryOut: (request) => handlers.carryOut(request),
      onNothingLeft: () => handlers.nothingLeft(),
    });
  }

  #activeRuns(): ActiveRuns {
    const { clock, log } = this.#ports;
    return new ActiveRuns({
      clock,
      log,
      limits: limitsOf(this.#settings),
      holding: true,
      handlers: {
        onStarted: (run) => {
          this.#desks
            .written(run.ticket.pipeline, (desk) => desk.recordStart(run))
            .catch((error: unknown) =>
              log.error(
                { run: run.ticket.run, err: error },
                "the start of a run could not be recorded",
              ),
            );
        },
        onFinished: async (run, end) => {
          const { run: id, pipeline } = run.ticket;
          this.#overdue.ended(id, pipeline, end.workedMs ?? end.durationMs);
          await this.#desks.written(pipeline, (desk) => desk.recordEnd(id, end));
          this.#backfills.poke(pipeline);
        },
      },
    });
  }

  #rehearsal(): Rehearsal {
    return new Rehearsal({
      ...this.#ports,
      settings: () => this.#settings,
      upSince: () => this.#wall.upSince,
      lastJump: () => this.#wall.lastJump,
      desk: (name) => this.#desks.known(name),
      onReady: this.#ports.onMany,
    });
  }

  #overdueWatch(): OverdueWatch {
    const { clock, log } = this.#ports;
    return new OverdueWatch({
      clock,
      runs: () => this.#runs.all(),
      stateOf: (name) => this.#desks.known(name)?.state,
      append: (name, event) => {
        this.#desks
          .written(name, (desk) => desk.append([event]))
          .catch((error: unknown) =>
            log.error({ pipeline: name, err: error }, "a warning could not be recorded"),
          );
      },
    });
  }

  #requestHandlers(): RequestHandlers {
    const { clock, log, store, folded, upkeep } = this.#ports;
    return new RequestHandlers({
      clock,
      log,
      store,
      runs: this.#runs,
      backfills: this.#backfills,
      folded,
      refresh: (name) => this.#refresh(name),
      find: (name) => this.#desks.known(name),
      names: () => [...this.desks()].filter(({ state }) => !state.removed).map(({ name }) => name),
      upkeep: async (request) =>
        (await upkeep?.(request, this)) ?? refused("this daemon cannot do that"),
      setAside: (name) => this.#setAside.because(name),
    });
  }

  #ledgerWatch(): LedgerWatch {
    const { clock, log, store } = this.#ports;
    return new LedgerWatch({
      clock,
      log,
      store,
      runs: this.#runs,
      setAside: this.#setAside,
      desks: () => this.desks(),
      lookMs: this.#ports.ledgerLookMs,
      bringBack: (name) => this.#bringBack(name),
      takeOver: (run, pipeline) => this.takeOver(run, pipeline),
    });
  }

  #pipelineDesks(): PipelineDesks {
    const { clock, disk, left, log, maker, onDurableLine, onFatal, onHeld, onMissed } = this.#ports;
    const { store, tzdata } = this.#ports;
    return new PipelineDesks({
      clock,
      disk,
      onDurableLine,
      onFatal,
      onHeld,
      left,
      watch: this.#watch,
      onDisturbed: (pipeline, because) => this.disturbed(pipeline, because),
      desk: {
        clock,
        log,
        store,
        runs: this.#runs,
        maker,
        settings: () => this.#settings,
        upSince: () => this.#wall.upSince,
        lastJump: () => this.#wall.lastJump,
        burst: () => this.#due.burst,
        onMissed,
        onInForce: (pipeline) => this.#backfills.poke(pipeline),
        onBlocked: (pipeline, run, error) => this.#watch.cannotMake(pipeline, run, error),
        onBlockedRun: (run, error) => this.#watch.cannotTakeOver(run, error),
        onDisturbed: (pipeline, because) => this.disturbed(pipeline, because),
        asidePeriod: (pipeline) => this.#setAside.lastPeriod(pipeline),
        onNext: (pipeline, due) => this.#scheduler.set(pipeline, due),
        tzdata,
        fewAtOnce: new FewAtOnce(BEHIND_AT_ONCE),
        goesOn: () => this.#stopping === undefined,
      },
    });
  }

  #hourlyWork(): HourlyWork {
    const { clock, log, hourly } = this.#ports;
    return new HourlyWork({
      clock,
      log,
      makeFolders: (at) => this.#makeFolders(at),
      act: hourly === undefined ? undefined : () => hourly.act(this),
      isWanted: () => hourly?.isWanted(this) === true,
    });
  }

  get #recoveryPorts(): RecoveryPorts {
    return {
      ...this.#ports,
      runs: this.#runs,
      onBlockedRun: (run, error) => this.#watch.cannotTakeOver(run, error),
    };
  }

  /** Takes in a pipeline whose ledger could not be opened before. @throws LedgerBlocked */
  async #bringBack(name: string): Promise<void> {
    const desk = await this.desk(name);
    this.#setAside.remove(name, "ledger");
    await this.#wall.notBehind(desk);
    await recoverRuns([desk], this.#recoveryPorts, () => Promise.resolve());
    this.#backfills.takeOver(desk);
    // Stops of its runs and cancels of its backfills wait for them.
    this.#inbox.askAgain();
    const { backfills } = desk.state;
    await this.#inbox.takeUpAll(
      (read) =>
        read.ok && read.request.type === "cancel_backfill" && backfills.has(read.request.id),
    );
    await this.#files.settleAgain(name);
    desk.decide();
    this.#resumeBackfills(desk);
  }

  /** Somebody touched ledgers of a pipeline: its own ledger says so, and with it the log. */
  disturbed(pipeline: string, because: string, run?: string): void {
    const line = defined({ type: "ledger.disturbed" as const, run, because });
    this.#desks
      .written(pipeline, (desk) => desk.append([line]))
      .catch((error: unknown) =>
        this.#ports.log.error({ pipeline, run, err: error }, `ledgers were touched: ${because}`),
      );
  }

  /** As {@link disturbed}, of the ledger of one run. */
  disturbedRun(run: string, because: string): void {
    this.disturbed(parseRunId(run)!.pipeline, because, run);
  }

  #resumeBackfills(desk: PipelineDesk): void {
    try {
      this.#backfills.resume(desk);
    } catch (error) {
      const { log } = this.#ports;
      log.error({ pipeline: desk.name, err: error }, "backfills could not go on");
    }
  }

  /** A stop or a cancel of what is not known yet is carried out when its pipeline is back. */
  #mustWait(read: ReadRequest): boolean {
    if (!read.ok) return false;
    const { request } = read;
    if (request.type === "cancel_backfill")
      // Its id does not say which pipeline has it.
      return (
        this.#watch.hasUnopened &&
        !this.#backfills.has(request.id) &&
        ![...this.desks()].some(({ state }) => state.requests.has(request.id))
      );
    if (request.type !== "stop") return false;
    const { pipeline } = parseRunId(request.run) ?? {};
    return pipeline !== undefined && this.#watch.unopened(pipeline) !== undefined;
  }

  /** The runs that are active or wait. */
  get runs(): ActiveRuns {
    return this.#runs;
  }

  /** The desks of all pipelines that have a ledger. */
  desks(): Iterable<PipelineDesk> {
    return this.#desks.all();
  }

  /** A pipeline's desk. Opens its ledger where that is not open yet. */
  desk(name: string): Promise<PipelineDesk> {
    return this.#desks.open(name);
  }

  /**
   * Takes over the runs that an earlier daemon left, and carries out the requests that may not wait
   * for the drop folder: stops. Call it first, then {@link filesChanged} with the first reading,
   * then {@link begin}.
   */
  async recover(): Promise<Recovered> {
    await this.#desks.openAll(this.#ports.store.pipelines());
    await this.#wall.whenSet(this.ending);
    this.#neverBegan = this.ending.aborted;
    if (this.#neverBegan) return { pipelines: 0, runs: 0 };
    return recoverRuns([...this.desks()], this.#recoveryPorts, () =>
      this.#inbox.takeUpAll(this.#stopsInTime()),
    );
  }

  /**
   * Which requests may not wait until the runs go on: stops of runs that were taken over. One for
   * each run and mode is enough: many may ask for the same.
   */
  #stopsInTime(): (read: ReadRequest) => boolean {
    const seen = new Set<string>();
    return (read) => {
      if (!read.ok || read.request.type !== "stop") return false;
      const { run, mode, notAfter } = read.request;
      const isLate = notAfter !== undefined && this.#ports.clock.now() > Date.parse(notAfter);
      const asked = `${mode} ${run}`;
      if (isLate || seen.has(asked) || this.#runs.get(run) === undefined) return false;
      seen.add(asked);
      return true;
    };
  }

  /** Files in the drop folder changed. Resolves once they are in force, or refused. */
  async filesChanged(changes: FileChanges): Promise<void> {
    if (this.#neverBegan) return;
    await this.#files.apply(changes);
    await this.#makeFolders(this.#ports.clock.now());
  }

  /**
   * The first reading of the drop folder is done. Decides the slots that were due, takes up the
   * requests, and starts the timer.
   */
  async begin(): Promise<void> {
    if (this.#stopping !== undefined) return;
    await this.#files.firstReadingDone();
    this.#runs.release((run) => {
      const desk = this.#desks.known(run.ticket.pipeline);
      return desk?.loaded === undefined ? {} : desk.queueTerms();
    });
    await this.#due.decideAll(this.#desks.names(), () => this.#stopping === undefined);
    await Promise.all(
      [...this.desks()]
        // What takes long is decided beside all else: others' slots do not wait for it.
        .filter((desk) => !desk.isBehind)
        .map((desk) => this.#setAside.unlessAside(desk.name, desk.settled())),
    );
    if (this.#stopping !== undefined) return;
    // Slots that came due do not wait behind the runs of an earlier daemon.
    this.#runs.goOn();
    this.#scheduler.start();
    for (const desk of this.desks()) this.#backfills.takeOver(desk);
    await this.#inbox.takeUpAll();
    if (this.#stopping !== undefined) return;
    this.#inbox.start();
    for (const desk of this.desks()) this.#resumeBackfills(desk);
    this.#watch.start();
    this.#hourly.start();
    return this.#makeFolders(this.#ports.clock.now() + DAY_MS);
  }

  /** Takes over a run that could not be taken over before: its ledger was repaired. */
  async takeOver(run: string, pipeline: string): Promise<void> {
    const desk = await this.desk(pipeline);
    const taken = await takeOver(run, pipeline, this.#recoveryPorts, desk.queueTerms());
    const written = taken.lines.length > 0 ? desk.append(taken.lines) : undefined;
    if (taken.going !== undefined) this.#runs.record(taken.going);
    await written;
  }

  /** Aborted as this engine stops: what takes long is left to the next one. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** The last jump of the clock ahead, as far as it was not taken back. */
  get lastJump(): ClockStep | undefined {
    return this.#wall.lastJump;
  }

  /** The settings in force. */
  get settings(): OrchdSettings {
    return this.#settings;
  }

  /** orchd.yaml was read again. */
  async setSettings(settings: OrchdSettings): Promise<void> {
    this.#settings = settings;
    this.#runs.setLimits(limitsOf(settings));
    await this.#files.reload();
  }

  /**
   * Starts no new slot, request or step. Running steps get the drain period, in milliseconds, and
   * are then interrupted. All is written and closed when this resolves. A second call with a
   * shorter period cuts the first one short.
   */
  async stop(drainPeriodMs: number): Promise<void> {
    const drained = this.#drain(drainPeriodMs);
    const before = this.#stopping;
    this.#stopping = before === undefined ? drained : Promise.race([before, drained]);
    await this.#stopping;
    // Whichever call is over first, nobody goes on before the ledgers are closed.
    await (this.#closed ??= this.#desks.close());
  }

  async #drain(periodMs: number): Promise<void> {
    this.#ending.abort();
    this.#scheduler.stop();
    // What was due before the stop is decided.
    this.#due.finish();
    this.#watch.close();
    this.#hourly.close();
    this.#files.close();
    this.#backfills.stop();
    const closed = this.#inbox.close();
    await this.#runs.drain(periodMs);
    await closed;
  }

  /** Not at every wake: there are many wakes where much is due each second. */
  #lookForLate(): void {
    const now = this.#ports.clock.monotonic();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    this.#overdue.look();
  }

  #makeFolders(at: number): Promise<void> {
    const scheduled = [...this.desks()]
      .filter(({ loaded }) => loaded !== undefined && loaded.schedules.length > 0)
      .map(({ name }) => name);
    return makeMonthFolders(scheduled, at, this.#ports, () => this.#stopping === undefined);
  }

  /** Reads a pipeline's file again: it may have been saved a moment ago. */
  async #refresh(name: string): Promise<Refreshed> {
    if (!this.#files.knows(name)) await this.#ports.rescan();
    return this.#files.refresh(name);
  }

  /** How many pipelines have a version in force. */
  get inForce(): number {
    return this.#desks.inForce;
  }
}

function limitsOf(settings: OrchdSettings): {
  groups: Record<string, number>;
  maxActiveRuns?: number;
} {
  const groups = Object.fromEntries(
    Object.entries(settings.concurrency).map(([name, { limit }]) => [name, limit]),
  );
  return settings.maxActiveRuns === undefined
    ? { groups }
    : { groups, maxActiveRuns: settings.maxActiveRuns };
}
