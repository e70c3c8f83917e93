/**
 * A root that this process holds without a daemon: for one run in the foreground (foreground.ts),
 * or for as long as a program likes (src/program/).
 *
 * It holds the daemon's lock, makes runs, drives several at once, and carries out requests that
 * name them. It decides no slot, takes over no other run, and leaves every other request to the
 * next daemon (semantics.md 25). So does a crash: the kernel frees the lock, and the next daemon
 * takes over what had not ended.
 *
 * States: open -> closing (no new run is made, and those that run are asked to stop) -> closed (the
 * runners have ended, and the lock is released).
 */
import { systemClock } from "../clock.ts";
import { defined } from "../core/defined.ts";
import { checkGivenParams } from "../core/given-params.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { refused, type Reply } from "../core/request.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Json, OrchestratorRef } from "../core/snapshot.ts";
import type { StopOrder } from "../core/stop-order.ts";
import type { HolderRole } from "../ledger/daemon-info.ts";
import { LedgerExists } from "../ledger/ledger-error.ts";
import { acquireDaemonLock, DaemonLockHeld, type DaemonLock } from "../ledger/lock.ts";
import { OwnNameTaken } from "../ledger/own-names.ts";
import { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import { PlaceHistory } from "../ledger/place-history.ts";
import type { ReadRequest } from "../ledger/requests.ts";
import { RunStore } from "../ledger/run-store.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { silentLog } from "../log.ts";
import { stopBundler } from "../schedules/bundler.ts";
import { loadPipelineFile, type LoadContext, type LoadResult } from "../schedules/load-file.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import { formatProblem } from "../schedules/problem.ts";
import { VERSION } from "../version.ts";
import { findPipeline, type FoundPipeline } from "./find-pipeline.ts";
import { HeldRun } from "./held-run.ts";
import { RequestInbox, type TakenRequest } from "./request-inbox.ts";
import { runHeader } from "./run-header.ts";
import { foreignRunsFolder } from "./runs-folder.ts";
import { openWorkshop, type Workshop } from "./workshop.ts";

const clock = systemClock;
/** How long after a forced stop and the grace period a run is waited for, in milliseconds. */
const LAST_MS = 3_000;

/** What to hold, and for whom. */
export interface HeldRootOptions {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
  readonly role: Extract<HolderRole, "foreground" | "program">;
  /** The one run of a foreground holder. */
  readonly run?: string | undefined;
}

/** What of a file is loaded, where it is not a file of the drop folder. */
export type LoadOptions = Pick<LoadContext, "folder" | "definition">;

/** A held root, or why this process cannot hold it, in a sentence. */
export type Holding =
  | { readonly ok: true; readonly held: HeldRoot }
  | { readonly ok: false; readonly reason: string };

/** A run to make. */
export interface HeldRunOrder {
  /** The run's id. Default: the next free one. */
  readonly run?: string | undefined;
  readonly params?: { readonly [key: string]: Json } | undefined;
  readonly noCache?: boolean | undefined;
  readonly because: string;
  /** It is made now, and started with a later call or never: if never, it ends as stopped. */
  readonly placeholder?: boolean | undefined;
}

/** A run that was made, with a remark on its params; or why there is none, in a sentence. */
export type Reservation =
  | { readonly ok: true; readonly run: HeldRun; readonly remark: string | undefined }
  | { readonly ok: false; readonly reason: string };

/** Makes and drives runs of one root. */
export class HeldRoot {
  readonly store: RunStore;
  readonly settings: OrchdSettings;
  readonly #options: HeldRootOptions;
  readonly #lock: DaemonLock;
  readonly #workshop: Workshop;
  readonly #ledgers = new Map<string, Promise<PipelineLedger>>();
  /** The unfinished runs, by id. */
  readonly #runs = new Map<string, HeldRun>();
  /** Runs that are being made. */
  readonly #making = new Set<Promise<unknown>>();
  /** Undefined: no place but this machine's own has said anything. */
  #places: PlaceHistory | undefined;
  #inbox: RequestInbox | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: HeldRootOptions, settings: OrchdSettings, lock: DaemonLock) {
    this.#options = options;
    this.settings = settings;
    this.#lock = lock;
    this.store = new RunStore(options.runs);
    this.#workshop = openWorkshop({
      runs: options.runs,
      clock,
      log: silentLog,
      settings,
      epoch: lock.epoch,
      onFatal: die,
    });
    this.#workshop.place.onReport(() => this.#recordPlaces());
    this.#recordPlaces();
  }

  /** What places say of themselves is in `places.jsonl`, as with a daemon. */
  #recordPlaces(): void {
    const { place } = this.#workshop;
    if (this.#places === undefined && place.reports().length <= 1) return;
    const { orchdDir } = this.store;
    const { epoch } = this.#lock;
    this.#places ??= new PlaceHistory({ orchdDir, clock, epoch, reports: () => place.reports() });
    this.#places.look();
  }

  /** Takes the lock of a root. */
  static async open(options: HeldRootOptions): Promise<Holding> {
    const store = new RunStore(options.runs);
    const foreign = foreignRunsFolder(store);
    if (foreign !== undefined) return { ok: false, reason: foreign };
    const read = await loadSettings(options.root, store.bundles);
    if (!read.ok) return { ok: false, reason: read.errors.map(formatProblem).join("\n") };
    const taken = await takeLock(store.orchdDir, options);
    if (!taken.ok) return taken;
    return { ok: true, held: new HeldRoot(options, read.settings, taken.lock) };
  }

  /**
   * Finds a pipeline by its name.
   *
   * @throws LedgerBlocked if the path of its ledger is bad
   */
  async find(name: string): Promise<FoundPipeline> {
    const { state } = await this.#ledgerOf(name);
    const { schedules } = this.#options;
    return await findPipeline(name, {
      schedules,
      inForce: state,
      load: (path) => this.load(path, { folder: schedules }),
    });
  }

  /** Loads a pipeline file. */
  load(path: string, options: LoadOptions = {}): Promise<LoadResult> {
    const { root } = this.#options;
    return loadPipelineFile(path, {
      root,
      bundlesDir: this.store.bundles,
      settings: this.settings,
      evaluate: (code) => this.#workshop.evaluate(code),
      refuses: (snapshot, scheduled) => this.#workshop.refuses(snapshot, scheduled),
      stackEnv: (snapshot) => this.#workshop.stackEnv(snapshot),
      ...options,
      now: clock.now(),
    });
  }

  /**
   * Makes a run: its header is durable when this resolves.
   *
   * @throws SubmissionRefused if its orchestrator cannot take it; LedgerBlocked if a path is bad
   */
  reserve(loaded: LoadedPipeline, order: HeldRunOrder): Promise<Reservation> {
    if (this.#closing !== undefined) return Promise.resolve(refusal("the root is closed"));
    const making = this.#reserve(loaded, order);
    this.#making.add(making);
    const made = (): void => void this.#making.delete(making);
    making.then(made, made);
    return making;
  }

  /** An orchestrator of orchd.yaml, or `local`. @throws SubmissionRefused if it cannot be used */
  flavor(ref: OrchestratorRef): Promise<Flavor> {
    return this.#workshop.flavor(ref);
  }

  /** An unfinished run of this process; undefined if it has finished, or is none. */
  run(id: string): HeldRun | undefined {
    return this.#runs.get(id);
  }

  /**
   * Stops what still runs, ends the runners and releases the lock.
   *
   * @param mode `force` also ends running steps; after a first call, it does so to what that call
   *   waits for
   */
  close(mode: "graceful" | "force" = "graceful"): Promise<void> {
    const closing = this.#closing;
    if (closing !== undefined && mode === "force") void this.#endAll(mode);
    this.#closing ??= this.#close(mode);
    return this.#closing;
  }

  async #close(mode: "graceful" | "force"): Promise<void> {
    await Promise.allSettled(this.#making);
    await this.#endAll(mode);
    await this.#inbox?.close();
    for (const ledger of this.#ledgers.values())
      await ledger.then((open) => open.close()).catch(() => undefined);
    await this.#places?.close();
    await this.#workshop.close(mode === "force");
    await stopBundler();
    await this.#lock.release();
  }

  async #endAll(mode: "graceful" | "force"): Promise<void> {
    await Promise.allSettled([...this.#runs.values()].map((run) => this.#end(run, mode)));
  }

  /** Stops a run, and waits for its end. One that cannot be stopped is left to the next daemon. */
  async #end(run: HeldRun, mode: "graceful" | "force"): Promise<void> {
    const because = run.isStarted
      ? "its program closed the root"
      : "its program closed the root before it submitted the run";
    const answer = await run.requestStop({ mode, by: "program", because });
    if (!answer.accepted && run.state.stop === undefined) return run.leave();
    const { gracePeriodMs } = run.state.snapshot;
    const last =
      mode === "force" ? clock.after(gracePeriodMs + LAST_MS, () => void run.leave()) : undefined;
    await run.finished.finally(() => last?.cancel());
  }

  async #reserve(loaded: LoadedPipeline, order: HeldRunOrder): Promise<Reservation> {
    const params = checkGivenParams(loaded, order.params);
    if (!params.ok) return refusal(params.message);
    const ledger = await this.#ledgerOf(loaded.name);
    for (;;) {
      const run = order.run ?? this.store.nextManual(loaded.name, clock.now());
      const made = runHeader(loaded, {
        run,
        trigger: defined({
          kind: "manual",
          noCache: order.noCache === true || undefined,
          placeholder: order.placeholder === true || undefined,
        }),
        params: order.params,
        because: order.because,
      });
      if (!made.ok) return refusal(made.message);
      try {
        const held = new HeldRun(await this.#workshop.reserve(made.header), ledger);
        await this.#hold(held, ledger, order.placeholder === true);
        return { ok: true, run: held, remark: params.remark };
      } catch (error) {
        if (!(error instanceof LedgerExists)) throw error;
        if (order.run !== undefined) return refusal(`run ${run} exists already; try again`);
      }
    }
  }

  /** Takes up requests that name the run, until it has finished. */
  async #hold(run: HeldRun, ledger: PipelineLedger, isPlaceholder: boolean): Promise<void> {
    this.#runs.set(run.id, run);
    const tell = (): Promise<void> =>
      this.#options.role === "program"
        ? this.#lock.setRuns([...this.#runs.keys()])
        : Promise.resolve();
    const over = (): void => {
      this.#runs.delete(run.id);
      tell().catch(() => undefined);
    };
    run.finished.then(over, over);
    if (this.#inbox === undefined) {
      this.#inbox = new RequestInbox({
        clock,
        log: silentLog,
        store: this.store,
        accepts: (read) => this.#isOwn(read),
        carryOut: (taken) => this.#stop(taken),
      });
      this.#inbox.start();
    } else {
      // Somebody may have seen its ledger, and asked, before it was among these runs.
      this.#inbox.askAgain();
    }
    // The next daemon finds it by this line, however long it waits for its submission.
    const because = "its program has not submitted it yet";
    const queued = isPlaceholder
      ? ledger.append([{ type: "run.queued", run: run.id, because }])
      : undefined;
    await Promise.all([queued, tell()]);
  }

  #isOwn(read: ReadRequest): boolean {
    return read.ok && read.request.type === "stop" && this.#runs.has(read.request.run);
  }

  async #stop({ request, by, id: requestId }: TakenRequest): Promise<Reply> {
    if (request.type !== "stop")
      return refused("this process carries out stops of its own runs and nothing else");
    const { run, mode } = request;
    const order: StopOrder = { mode, by, requestId };
    const answer = await this.#runs.get(run)?.requestStop(order);
    if (answer === undefined) return { ...refused(`run ${run} has finished already`), run };
    return answer.accepted ? { accepted: true, run } : { ...refused(answer.reason), run };
  }

  #ledgerOf(pipeline: string): Promise<PipelineLedger> {
    let ledger = this.#ledgers.get(pipeline);
    if (ledger === undefined) {
      ledger = PipelineLedger.open(this.#options.runs, pipeline, { clock, onFatal: die });
      this.#ledgers.set(pipeline, ledger);
      ledger.catch(() => this.#ledgers.delete(pipeline));
    }
    return ledger;
  }
}

function refusal(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** Ends the process: it may write nothing more. */
function die(error: Error): never {
  process.stderr.write(`orchd: ${error.message}\n`);
  process.exit(1);
}

/** Takes the daemon's lock, or says who has it. */
async function takeLock(
  orchdDir: string,
  { role, run }: HeldRootOptions,
): Promise<
  { readonly ok: true; readonly lock: DaemonLock } | { readonly ok: false; readonly reason: string }
> {
  try {
    const holder = defined({ clock, role, version: VERSION, run });
    const lock = await acquireDaemonLock(orchdDir, holder);
    lock.onLost(() =>
      die(
        new Error("the lock is no longer this process's; it ends at once and writes nothing more."),
      ),
    );
    return { ok: true, lock };
  } catch (error) {
    if (error instanceof DaemonLockHeld || error instanceof OwnNameTaken)
      return { ok: false, reason: error.message };
    throw error;
  }
}
