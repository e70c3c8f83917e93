/**
 * A **run-loop** drives one run. (The engine owns many runs; an orchestrator says how a run's steps
 * come to run; a place is where one step runs.)
 *
 * It works in turns. What arrived (results, requests, timers) is folded in. The planner says what
 * follows. Each decision is folded in and planned on, until there are no more. All this is one
 * write, and what it allows waits for the disk (run-journal.ts). So a result and the starts that
 * follow from it cost one sync, and results that arrive together are planned together.
 *
 * It decides nothing: core/plan.ts says what happens next, and why. It carries out little: each
 * part of a run has a file that looks after it (steps, hooks, calls, a user's orchestrator, the
 * cache, the times). The loop passes on the planner's actions, and hears of outside by `arrive`.
 *
 * It stays one file: each way to begin, to stop, to drain and to end meets the turn here.
 */
import type { Timer } from "../clock.ts";
import { defined } from "../core/defined.ts";
import type { RunEvent, RunHeader } from "../core/event.ts";
import { isHalted } from "../core/halt.ts";
import { couldStart, plan, type Action, type PlanFacts } from "../core/plan.ts";
import { runResults } from "../core/run-results.ts";
import type { RunState } from "../core/run-state.ts";
import { allEnded } from "../core/run-status.ts";
import type { SnapshotStep } from "../core/snapshot.ts";
import { stopRefusal, type StopAnswer, type StopOrder } from "../core/stop-order.ts";
import { iso } from "../core/time.ts";
import { LedgerClosed, LedgerFailed } from "../ledger/ledger-error.ts";
import { needsSpilling, spillEvent } from "../ledger/spill-event.ts";
import { CachePrepass } from "./cache-prepass.ts";
import { Delegation } from "./delegation.ts";
import { DynamicCalls } from "./dynamic-calls.ts";
import { baseLayer, RunEnvironment } from "./environment.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { HookRuns } from "./hook-runs.ts";
import { LaneWaits } from "./lane-waits.ts";
import { createRun, reopenRun, type CreateOptions, type OpenRun } from "./open-run.ts";
import { ResultCache } from "./result-cache.ts";
import { RunJournal } from "./run-journal.ts";
import { RunLog } from "./run-log.ts";
import type { ActOutcome, RunParts } from "./run-parts.ts";
import type { FinishedRun } from "./finished-run.ts";
import type { RunDeps } from "./run-deps.ts";
import { RunTimes } from "./run-times.ts";
import { SecretFiles } from "../disk/secret-files.ts";
import { StepRuns } from "./step-runs.ts";
import { StepWaiters } from "./step-waiters.ts";

/** How much one run decides before others get their turn: thousands of steps may end together. */
const ACTS_AT_ONCE = 200;
const [SLOW_ACTS, SLOW_MS] = [4, 20]; // The same where decisions take long.
/** How much of what came from outside one run takes up before others get their turn. */
const ARRIVALS_AT_ONCE = 40;

/** Drives one run from its first line to its last. */
export class RunLoop {
  /** The fold of the ledger, and of what is about to be in it. Others must not change it. */
  readonly state: RunState;
  /** Resolves when the run's last line is durable. Never rejects. */
  readonly finished: Promise<FinishedRun>;
  /** Who asks for the run waits for its end (ZenML `is_synchronous`). */
  readonly isSynchronous: boolean;
  readonly #deps: RunDeps;
  readonly #flavor: Flavor;
  readonly #journal: RunJournal;
  readonly #log: RunLog;
  readonly #results: ResultCache;
  readonly #times: RunTimes;
  readonly #steps: StepRuns;
  readonly #prepass: CachePrepass;
  readonly #hooks: HookRuns;
  readonly #waiters: StepWaiters;
  readonly #lanes: LaneWaits;
  readonly #calls: DynamicCalls | undefined;
  readonly #delegation: Delegation | undefined;
  /** How much room a step takes. */
  readonly #share = (spec: SnapshotStep): number => this.#deps.place.ahead?.share(spec) ?? 1;
  #resolveFinished!: (info: FinishedRun) => void;
  /** What came since the last turn. */
  #arrived: (() => void)[] = [];
  #turnDue = false;
  #turning = false;
  /** It was told to start. A run of an earlier daemon waits for that too. */
  #working = false;
  #draining = false;
  #drained:
    | { readonly promise: Promise<void>; readonly resolve: () => void; timer?: Timer }
    | undefined;
  #closed = false;

  /** @param open a run that {@link createRun} has made */
  constructor({ state, file, flavor }: OpenRun, deps: RunDeps) {
    this.state = state;
    this.#deps = deps;
    this.#flavor = flavor;
    this.isSynchronous = flavor.capabilities.isSynchronous;
    this.#journal = new RunJournal(state, file, deps.clock, deps.log);
    this.finished = new Promise((resolve) => (this.#resolveFinished = resolve));
    this.#log = new RunLog(deps.runStore.runLog(state.run), (error) =>
      deps.log.warn({ run: state.run, err: error }, "what a run printed could not be written"),
    );
    this.#results = ResultCache.of(deps);
    this.#results.begin(state);
    const own = deps.environment ?? process.env;
    const secrets = deps.secrets ?? new SecretFiles([own["CREDENTIALS_DIRECTORY"]]);
    const base = baseLayer(own, state.snapshot.baseEnv ?? {});
    this.#waiters = new StepWaiters(state, flavor.capabilities.handlesStepRetries);
    const parts: RunParts = {
      state,
      deps,
      journal: this.#journal,
      secrets,
      environment: new RunEnvironment(state, secrets, base),
      waiters: this.#waiters,
      emit: (event) => this.#emit(event),
      emitWhole: (event, still, failed) => this.#emitWhole(event, still, failed),
      arrive: (arrival) => this.#arrive(arrival),
      output: (lines) => this.#log.write(lines),
      draining: () => this.#draining,
    };
    this.#times = new RunTimes(parts);
    this.#lanes = new LaneWaits(parts);
    this.#steps = new StepRuns(
      parts,
      flavor,
      this.#results,
      () => this.#delegation?.retriedBy ?? "orchd",
    );
    this.#prepass = new CachePrepass(parts, this.#steps, flavor);
    this.#hooks = new HookRuns(parts, flavor);
    this.#calls =
      state.snapshot.dynamic === undefined ? undefined : new DynamicCalls(parts, flavor);
    const of = { flavor, hooks: this.#hooks, calls: this.#calls };
    this.#delegation =
      flavor.ref === undefined && flavor.live === undefined ? undefined : new Delegation(parts, of);
    void this.#journal.broke.then((error) => this.#giveUp(error));
  }

  /**
   * Creates a run: its ledger with the header, durably.
   *
   * @throws SubmissionRefused, with nothing written, if its orchestrator cannot take it;
   *   LedgerExists if the run has been created already
   */
  static async create(header: RunHeader, deps: RunDeps, options?: CreateOptions): Promise<RunLoop> {
    return new RunLoop(await createRun(header, deps, options), deps);
  }

  /**
   * Takes over a run of an earlier daemon: its running steps end as interrupted, durably. The run
   * goes on when {@link start} is called.
   *
   * @param seen until when the earlier daemon was seen that was up at a moment; ISO 8601
   * @returns undefined if it has finished
   * @throws LedgerDamaged, LedgerFormatError, LedgerBlocked, ArtifactUnusable, a Node error
   */
  static async recover(
    run: string,
    deps: RunDeps,
    because = "the daemon was started again",
    seen: (at: string) => string | undefined = () => undefined,
  ): Promise<RunLoop | undefined> {
    const open = await reopenRun(run, deps);
    if (open === undefined) return undefined;
    const loop = new RunLoop(open, deps);
    await loop.#steps.adopt();
    await loop.#interrupt(because, seen(loop.state.lastAt));
    return loop;
  }

  /** Lets the run's steps start, or go on. A second call does nothing. */
  start(because: string): void {
    if (this.#working || this.state.finished !== undefined || this.#draining) return;
    this.#working = true;
    const begins = this.state.phase !== "started";
    this.#arrived.push(() => {
      if (begins) this.#emit({ type: "run.started", because: because.slice(0, 1_000) });
      this.#times.begin();
      const { lost } = this.#flavor;
      // Where every step has ended, the orchestrator has nothing left to do.
      if (lost !== undefined && !allEnded(this.state))
        this.#emit({ type: "submit.failed", error: { ...lost } });
      else if (this.#delegation !== undefined) {
        if (begins) this.#delegation.begin(this.#prepass);
        else this.#delegation.resume();
      }
      // A local run's steps ask the cache as they start. This is for the init hook: without it the
      // hook could run for nothing.
      else if (this.state.init === "owed" && this.#prepass.isAllowed) void this.#prepass.answer();
    });
    this.#turn();
  }

  /** Records that the run waits for its turn. Resolves when that is durable. */
  queue(because: string, limits?: RunState["limits"]): Promise<void> {
    const event = defined({ type: "run.queued", because: because.slice(0, 1_000), limits });
    if (this.state.phase === "submitted") this.#arrived.push(() => void this.#emit(event));
    this.#turn();
    return this.#written();
  }

  /**
   * Asks the run to stop (docs/zenml.md `stop_run`). Resolves when that is durable.
   *
   * @throws LedgerClosed where the run is left to the next daemon; LedgerFailed
   */
  async requestStop(order: StopOrder): Promise<StopAnswer> {
    const { state } = this;
    const { name, capabilities } = this.#flavor;
    const canStop = capabilities.canStop && this.#delegation?.cannotStop !== true;
    const reason = stopRefusal(state, order, canStop ? undefined : name);
    if (reason !== undefined) return { accepted: false, reason };
    if (this.#closed && !this.#journal.broken)
      throw new LedgerClosed(this.#deps.runStore.runLedger(state.run));
    const again = state.stop?.mode === order.mode;
    this.#arrived.push(() => {
      this.#emit(
        defined({
          type: "run.stop_requested",
          mode: order.mode,
          by: order.by.slice(0, 200),
          requestId: order.requestId,
          because: order.because?.slice(0, 1_000),
          asksOrchestrator: this.#delegation?.facts.stopRun === undefined ? undefined : true,
        }),
      );
      if (again) this.#delegation?.tellAgain();
      if (order.mode === "force") this.#hooks.stop("the run was asked to stop");
    });
    this.#turn();
    try {
      await this.#written();
    } catch (error) {
      if (endsProcess(error)) throw error;
      return { accepted: false, reason: unwritableText(error as Error) };
    }
    return { accepted: true };
  }

  /** Looks whether somebody touched the run's ledger, and mends it if so. Cheap. */
  look(): void {
    if (!this.#closed && !this.#journal.broken) this.#journal.look();
  }

  /** Takes a turn if a step of it could start with this much room. @returns whether it did */
  poke(room: PlanFacts["capacity"]): boolean {
    if (!this.#working || !couldStart(this.state, room)) return false;
    this.#turn(ARRIVALS_AT_ONCE);
    return true;
  }

  /**
   * Starts nothing new. What runs gets this many milliseconds; then it is interrupted, and goes on
   * with the next daemon. Resolves when the run has ended, or nothing of it runs any more, and its
   * ledger is closed. A second call can only shorten the time.
   */
  drain(periodMs: number): Promise<void> {
    if (this.#journal.broken || (this.#closed && this.#drained === undefined))
      return Promise.resolve();
    this.#draining = true;
    if (this.#drained === undefined) {
      let resolve!: () => void;
      const promise = new Promise<void>((done) => (resolve = done));
      this.#drained = { promise, resolve };
    }
    this.#drained.timer?.cancel();
    if (periodMs <= 0) this.#arrive(() => this.#endDrain());
    else
      this.#drained.timer = this.#deps.clock.after(periodMs, () =>
        this.#arrive(() => this.#endDrain()),
      );
    this.#schedule();
    return this.#drained.promise;
  }

  // --- One turn ---

  #arrive(arrival: () => void): void {
    this.#arrived.push(arrival);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#turnDue || this.#turning) return;
    this.#turnDue = true;
    queueMicrotask(() => this.#turn(ARRIVALS_AT_ONCE));
  }

  /** @param left how many arrivals it takes up; the others come in a later turn of the loop */
  #turn(left = Number.POSITIVE_INFINITY): void {
    this.#turnDue = false;
    if (this.#turning || this.#closed || this.#journal.broken) return;
    this.#turning = true;
    try {
      do {
        const arrived = this.#arrived;
        this.#arrived = arrived.length <= left ? [] : arrived.splice(left);
        left -= arrived.length;
        for (const arrival of arrived) arrival();
        if (this.#draining || isHalted(this.state)) this.#steps.stopPreparing();
        this.#plan();
      } while (this.#arrived.length > 0 && left > 0);
    } finally {
      this.#turning = false;
    }
    if (this.#arrived.length > 0) setImmediate(() => this.#schedule());
    this.#steps.endTurn();
    if (this.state.farLanes.size > 0) this.#lanes.look();
    void this.#journal.flush();
    if (this.#draining) this.#checkDrained();
  }

  #plan(): void {
    if (!this.#working && this.state.stop === undefined) return;
    let acts = 0;
    const slow = this.#deps.clock.monotonic() + SLOW_MS;
    for (let again = true; again;) {
      again = false;
      for (const action of plan(this.state, this.#facts())) {
        acts += 1;
        if (acts > (this.#deps.clock.monotonic() > slow ? SLOW_ACTS : ACTS_AT_ONCE)) {
          setImmediate(() => this.#schedule());
          return;
        }
        const outcome = this.#act(action);
        if (outcome !== "later") again = true;
        if (outcome === "replan") break;
      }
    }
  }

  #facts(): PlanFacts {
    const delegated = this.#delegation?.facts;
    if (this.state.farLanes.size > 0) this.#lanes.want();
    const facts = {
      now: this.#deps.clock.now(),
      capacity: this.#deps.place.capacity(),
      share: this.#share,
      draining: this.#draining,
      launching: this.#steps.launching,
      stopping: this.#steps.told,
      hooks: this.#hooks.running,
      functionRunning: this.#calls?.running ?? false,
      holdsInit: this.#delegation?.holdsInit ?? false,
    };
    return delegated === undefined ? facts : { ...facts, delegated };
  }

  #act(action: Action): ActOutcome {
    switch (action.kind) {
      case "launch":
        return this.#steps.launch(action);
      case "skip":
        this.#emit({ type: "step.skipped", step: action.step, because: action.because });
        return "now";
      case "stopElsewhere":
        this.#delegation!.stopElsewhere(action.mode);
        return "later";
      case "giveUp":
        this.#delegation!.giveUp(action.step);
        return "now";
      case "expire":
        this.#steps.expire(action.step, action.because);
        return "replan";
      case "endDelayed":
        this.#steps.stopped(action.step, action.because);
        return "now";
      case "stopStep":
        this.#steps.stop(action.step, action.mode, action.because);
        return "later";
      case "hook":
        this.#hooks.start(action.hook, action.step, action.because);
        return "later";
      case "startFunction":
        if (this.#delegation !== undefined && !this.#delegation.runsFunction) return "later";
        this.#calls!.start();
        return "later";
      case "stopFunction":
        return this.#calls!.stop(action.because) ? "now" : "later";
      case "wake":
        this.#times.wakeAt(action.at);
        return "later";
      case "finish":
        return this.#finish(action);
    }
  }

  #emit(event: RunEvent, line?: RunEvent): string {
    const at = this.#journal.emit(event, line);
    if ((event.type === "hook.completed" || event.type === "hook.failed") && !event.step)
      this.#journal.afterwards(() => this.#hooks.settle(event.hook));
    if (event.type === "run.timed_out") this.#hooks.timeIsUp(event.because);
    if ("step" in event && typeof event.step === "string" && event.type !== "step.started") {
      const tell = this.#waiters.tellLater(event.step);
      if (tell !== undefined) this.#journal.afterwards(tell);
    }
    return at;
  }

  /** Emits an event, in a later turn if fields that are too long for a line are put aside first. */
  #emitWhole(event: RunEvent, still: () => boolean, failed: (error: unknown) => void): void {
    if (!needsSpilling(event)) {
      if (still()) this.#emit(event);
      return;
    }
    spillEvent(event, this.#deps.artifacts).then(
      (whole) =>
        this.#arrive(() => {
          if (!still()) return;
          // An init hook's state stays as the ledger has it: each task loads it where it runs.
          this.#emit(event.type === "hook.completed" ? whole : event, whole);
        }),
      (error: unknown) => this.#arrive(() => failed(error)),
    );
  }

  // --- The end, and ending early ---

  #finish({ status, because }: Extract<Action, { kind: "finish" }>): ActOutcome {
    if (!this.#log.idle) {
      // All that was printed is in the log before the last line is in the ledger.
      void this.#log.flushed().then(() => this.#schedule());
      return "later";
    }
    const times = this.#times.ends(this.#journal.at);
    const at = this.#emit({
      type: "run.finished",
      status,
      because: because.slice(0, 4_096),
      ...times,
    });
    this.#journal.afterwards(() => {
      void this.#close();
      this.#tellEnd({ status, because, ...times, finishedAt: at });
    });
    return "now";
  }

  #tellEnd(end: Pick<FinishedRun, "status" | "because" | "durationMs" | "finishedAt">): void {
    const { run, pipeline, snapshot, startedAt } = this.state;
    const results = runResults(this.state);
    this.#resolveFinished({ run, pipeline, ...end, startedAt, snapshot, results });
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#times.end();
    this.#drained?.timer?.cancel();
    this.#steps.end();
    this.#lanes.end();
    this.#calls?.end();
    this.#delegation?.end();
    this.#results.end(this.state);
    await Promise.all([this.#journal.close(), this.#log.close()]).catch((error: unknown) =>
      this.#deps.log.warn({ run: this.state.run, err: error }, "a run's files could not be closed"),
    );
    this.#drained?.resolve();
  }

  /**
   * The run's own ledger can no longer be written, and the process goes on: the run ends here, and
   * only its pipeline's ledger says how. A process that is about to end leaves it to the next one.
   */
  #giveUp(error: Error): void {
    if (endsProcess(error) || this.#closed || this.state.finished !== undefined) return;
    const because = unwritableText(error);
    this.#steps.kill(because);
    this.#hooks.kill(because);
    const finishedAt = iso(this.#deps.clock.now());
    const times = this.#times.ends(finishedAt);
    void this.#close();
    this.#tellEnd({ status: "failed", because: because.slice(0, 4_096), ...times, finishedAt });
  }

  /** @throws why the run's ledger cannot be written */
  async #interrupt(because: string, seen: string | undefined): Promise<void> {
    this.#arrived.push(() => {
      this.#emit({ type: "run.recovered", because, ...this.#times.before(seen) });
      this.#steps.interruptAll();
    });
    this.#turn();
    await this.#written();
  }

  /** Resolves when all that was decided is durable. @throws why it never will be */
  async #written(): Promise<void> {
    const { broke } = this.#journal;
    const error = await Promise.race([this.#journal.flush().then(() => undefined), broke]);
    if (error !== undefined) throw error;
  }

  /** The time of the drain is up. */
  #endDrain(): void {
    if (this.#closed || this.state.finished !== undefined) return;
    this.#steps.abandon();
    this.#hooks.abandon();
    this.#delegation?.abandon();
  }

  /** Ends the drain if nothing of the run runs any more. */
  #checkDrained(): void {
    if (
      !this.#steps.idle ||
      !this.#hooks.idle ||
      this.#delegation?.idle === false ||
      this.#closed ||
      this.state.finished !== undefined ||
      this.#arrived.length > 0
    )
      return;
    void this.#journal.flush().then(() => this.#close());
  }
}

/** Whether a ledger that broke so is left to the next process. */
function endsProcess(error: unknown): boolean {
  return error instanceof LedgerFailed || error instanceof LedgerClosed;
}

function unwritableText(error: Error): string {
  return `its ledger can no longer be written: ${error.message}`;
}
