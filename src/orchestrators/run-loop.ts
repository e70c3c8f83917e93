/**
 * A **run-loop** drives one run. (The engine owns many runs; an orchestrator says where steps run.)
 *
 * It turns in a circle: what arrived (results, requests, timers) is folded in, the planner says what follows, the decisions are folded in and
 * planned on until there are none, and all of that is one write. What is to be done about it waits for the disk (run-journal.ts). So a result and its
 * successors' starts cost one sync, and results that arrive together are planned together.
 *
 * It decides nothing: what happens next, and why, is core/plan.ts's; what a failure or an interruption means is `afterFailure` and
 * `afterInterruption`'s. It knows what no ledger holds: which steps are being prepared, which hooks run, what running steps were told.
 *
 * The file is long because whatever happens in a turn touches the state of that turn, which nobody else sees.
 *
 * A result counts only under the fencing token of the attempt that is current (semantics.md 14); any other is refused and noted.
 */
import type { Timer } from "../clock.ts";
import type { RunEvent, RunLine } from "../core/event.ts";
import { FAILURE_CODES, toStepError, type StepError } from "../core/failure.ts";
import { formatDuration } from "../core/duration.ts";
import { afterFailure, afterInterruption, plan, runnerDeath, type Action, type Interruption, type PlanFacts } from "../core/plan.ts";
import { evolve, fold, runStatus, stepKind, type RunState } from "../core/run-state.ts";
import type { CacheCandidate } from "../ledger/cache-index.ts";
import { LedgerFile, type LedgerOptions } from "../ledger/ledger-file.ts";
import { needsSpilling, restoreEvent, spillEvent } from "../ledger/spill-event.ts";
import { Delegation } from "./delegation.ts";
import { DynamicCalls } from "./dynamic-calls.ts";
import { baseEnvironment, RunEnvironment } from "./environment.ts";
import { refusalOf, SubmissionRefused, type Flavor } from "./flavors.ts";
import { HookRuns } from "./hook-runs.ts";
import type { TaskResult } from "./local/protocol.ts";
import type { DeathInfo, TaskHandlers } from "./local/runner-process.ts";
import { ResultCache } from "./result-cache.ts";
import { RunJournal } from "./run-journal.ts";
import { RunLog } from "./run-log.ts";
import type { RunParts } from "./run-parts.ts";
import type { FinishedInfo, RunDeps } from "./run-ports.ts";
import { SecretFiles, type SecretSource } from "./secrets.ts";
import { stackOf, type Stack } from "./stack.ts";
import { outputsOf } from "./step-outputs.ts";
import { prepareStep, type Preparation, type PreparationContext } from "./step-preparation.ts";
import { StepWaiters } from "./step-waiters.ts";

/** Line 1 of a run's ledger. */
export type RunHeader = Extract<RunEvent, { type: "run.submitted" }>;

/** A stop that is asked for. */
export interface StopOrder {
  readonly mode: "graceful" | "force";
  readonly by: string;
  readonly requestId?: string | undefined;
  readonly because?: string | undefined;
}

/** Whether a stop was taken; if so it is durable. */
export type StopAnswer = { readonly accepted: true } | { readonly accepted: false; readonly reason: string };

/** Whether a run is for a slot, so that only a schedulable orchestrator may take it. */
function isScheduled(header: RunHeader): boolean {
  return header.trigger.kind === "schedule" || header.trigger.kind === "catch_up";
}

/** See the head of this file. */
export class RunLoop {
  /** The fold of the ledger, and of what is about to be in it. Not to be changed by others. */
  readonly state: RunState;
  /** Resolves once the run's last line is durable; never rejects. */
  readonly finished: Promise<FinishedInfo>;
  /** Whoever asks for the run waits for its end (ZenML `is_synchronous`). */
  readonly isSynchronous: boolean;
  readonly #deps: RunDeps;
  readonly #flavor: Flavor;
  readonly #journal: RunJournal;
  readonly #log: RunLog;
  readonly #results: ResultCache;
  readonly #secrets: SecretSource;
  readonly #stack: Stack;
  readonly #environment: RunEnvironment;
  readonly #context: PreparationContext;
  readonly #hooks: HookRuns;
  readonly #waiters: StepWaiters;
  readonly #calls: DynamicCalls | undefined;
  readonly #delegation: Delegation | undefined;
  #resolveFinished!: (info: FinishedInfo) => void;
  /** What came since the last turn. */
  #arrived: (() => void)[] = [];
  #turnDue = false;
  #turning = false;
  /** It was told to go: a run that was taken over waits until then. */
  #working = false;
  #workingSince: number;
  #draining = false;
  readonly #launching = new Set<string>();
  readonly #prepared = new Map<string, { readonly attempt: number; readonly preparation: Preparation }>();
  readonly #told = new Map<string, "graceful" | "force">();
  readonly #toldWhy = new Map<string, string>();
  /** Steps whose result is being put into artifacts. */
  readonly #settling = new Set<string>();
  /** What completed in this turn, for the cache's index. */
  #completions: [key: string, candidate: CacheCandidate][] = [];
  #cacheFunctions = 0;
  #wake: { readonly at: number; readonly timer: Timer } | undefined;
  #limit: Timer | undefined;
  #drained: { readonly promise: Promise<void>; readonly resolve: () => void; timer?: Timer } | undefined;
  #closed = false;

  private constructor(state: RunState, file: LedgerFile<RunEvent>, flavor: Flavor, deps: RunDeps) {
    this.state = state;
    this.#deps = deps;
    this.#flavor = flavor;
    this.isSynchronous = flavor.capabilities.isSynchronous;
    this.#journal = new RunJournal(state, file, deps.clock, deps.log);
    this.#workingSince = deps.clock.monotonic();
    this.finished = new Promise((resolve) => (this.#resolveFinished = resolve));
    this.#log = new RunLog(deps.runStore.runLog(state.run), (error) =>
      deps.log.warn({ run: state.run, err: error }, "what a run printed could not be written"),
    );
    this.#results = ResultCache.of(deps);
    this.#results.begin(state);
    const own = deps.environment ?? process.env;
    this.#secrets = deps.secrets ?? new SecretFiles([own["CREDENTIALS_DIRECTORY"]]);
    this.#stack = stackOf(flavor.name);
    this.#environment = new RunEnvironment(state, this.#secrets, [baseEnvironment(own, deps.settings.env), this.#stack.environment]);
    this.#context = {
      deps,
      secrets: this.#secrets,
      results: this.#results,
      environment: this.#environment,
      enableCache: flavor.ref === undefined ? deps.settings.enableCache : flavor.capabilities.enableCache,
      callCacheFunction: (task) => this.#callCacheFunction(task),
    };
    this.#waiters = new StepWaiters(state, deps.artifacts);
    const parts: RunParts = {
      state,
      deps,
      journal: this.#journal,
      environment: this.#environment,
      waiters: this.#waiters,
      emit: (event) => this.#emit(event),
      emitWhole: (event, still, failed) => this.#emitWhole(event, still, failed),
      arrive: (arrival) => this.#arrive(arrival),
      output: (lines) => this.#log.write(lines),
    };
    this.#hooks = new HookRuns(parts);
    this.#calls = state.snapshot.dynamic === undefined ? undefined : new DynamicCalls(parts, flavor);
    this.#delegation =
      flavor.ref === undefined ? undefined : new Delegation(parts, { flavor, ref: flavor.ref, stack: this.#stack, calls: this.#calls });
    deps.orchestrators.local.adopt(state.run, {
      orchestratorRunId: state.orchestratorRunId,
      begin: () => this.start("the orchestrator began it"),
      finished: this.finished,
      status: () => ({ status: runStatus(state).status, steps: Object.fromEntries([...state.steps].map(([id, step]) => [id, step.status])) }),
      stop: async (graceful) => void (await this.requestStop({ mode: graceful ? "graceful" : "force", by: "orchestrator" })),
    });
  }

  /**
   * Makes a run: its ledger with the header, durably.
   *
   * @param decidedAt when it was decided on, ISO 8601, for the header; default: now
   * @throws SubmissionRefused, with nothing written, where its orchestrator cannot take it; LedgerExists if the run has been made already
   */
  static async create(header: RunHeader, deps: RunDeps, decidedAt?: string): Promise<RunLoop> {
    const flavor = await deps.orchestrators.resolve(header.snapshot.orchestrator);
    const refusal = refusalOf(flavor, header.snapshot, isScheduled(header));
    if (refusal !== undefined) throw new SubmissionRefused(refusal);
    const whole = needsSpilling(header) ? await spillEvent(header, deps.artifacts) : header;
    let at = "";
    const options = ledgerOptions(header.run, deps, (line) => (at ||= line.at));
    const file = await LedgerFile.create<RunEvent>(deps.runStore.runLedger(header.run), [whole], options, decidedAt);
    const state = evolve(undefined, { ...header, seq: 1, b: 1, at });
    return new RunLoop(state!, file, flavor, deps);
  }

  /**
   * Takes over a run of an earlier daemon: its running steps end as interrupted, durably. It goes on when it is told to {@link start}.
   *
   * @returns undefined if it had finished
   * @throws LedgerDamaged, LedgerFormatError, ArtifactUnusable, a Node error
   */
  static async recover(run: string, deps: RunDeps, because = "the daemon was started again"): Promise<RunLoop | undefined> {
    const { file, lines } = await LedgerFile.open<RunEvent>(deps.runStore.runLedger(run), {
      ...ledgerOptions(run, deps),
      // Nothing is done before the line that says that it was taken over is durable.
      withFirstWrite: true,
    });
    let loop: RunLoop;
    try {
      const state = fold(lines.map((line) => restoreEvent(line as RunLine, deps.artifacts)));
      if (state === undefined || state.finished !== undefined) {
        await file.close();
        return undefined;
      }
      loop = new RunLoop(state, file, await flavorOrRemains(state, deps), deps);
    } catch (error) {
      await file.close();
      throw error;
    }
    await loop.#takeOver(because);
    return loop;
  }

  /** Lets the run's steps start, or go on. Does nothing the second time. */
  start(because: string): void {
    if (this.#working || this.state.finished !== undefined || this.#draining) return;
    this.#working = true;
    this.#workingSince = this.#deps.clock.monotonic();
    const begins = this.state.phase !== "started";
    this.#arrived.push(() => {
      if (begins) this.#emit({ type: "run.started", because: because.slice(0, 1_000) });
      this.#armLimit();
      const { lost } = this.#flavor;
      if (lost !== undefined) this.#emit({ type: "submit.failed", error: { ...lost } });
      else if (this.#delegation !== undefined) this.#delegate(this.#delegation, begins);
      // A local run's steps ask the cache as they start; only an init hook would otherwise run for nothing.
      else if (this.state.init === "owed" && this.#mayAnswerFirst()) void this.#answerFirst(new Map());
    });
    this.#turn();
  }

  /** Records that the run waits for its turn. Durable when it resolves. */
  queue(because: string, limits?: RunState["limits"]): Promise<void> {
    const event = { type: "run.queued", because: because.slice(0, 1_000), ...(limits === undefined ? {} : { limits }) } as const;
    if (this.state.phase === "submitted") this.#arrived.push(() => void this.#emit(event));
    this.#turn();
    return this.#journal.flush();
  }

  /** Asks the run to stop. Durable when it resolves (docs/zenml.md `stop_run`). */
  async requestStop(order: StopOrder): Promise<StopAnswer> {
    const { state } = this;
    if (state.finished !== undefined) return { accepted: false, reason: `Run ${state.run} has ended already: ${state.finished.status}.` };
    if (!this.#flavor.capabilities.canStop) return { accepted: false, reason: `The orchestrator ${this.#flavor.name} cannot stop a run.` };
    if (state.stop !== undefined && (state.stop.mode === "force" || order.mode === "graceful")) {
      return {
        accepted: false,
        reason: `Run ${state.run} is being stopped already${state.stop.mode === "force" ? "" : "; --force ends it at once"}.`,
      };
    }
    this.#arrived.push(() => {
      this.#emit({
        type: "run.stop_requested",
        mode: order.mode,
        by: order.by.slice(0, 200),
        ...(order.requestId === undefined ? {} : { requestId: order.requestId }),
        ...(order.because === undefined ? {} : { because: order.because.slice(0, 1_000) }),
      });
      this.#delegation?.stopRun(order.mode === "graceful");
      if (order.mode === "force") this.#hooks.stop("the run was asked to stop");
    });
    this.#turn();
    await this.#journal.flush();
    return { accepted: true };
  }

  /** Room for steps came free. */
  poke(): void {
    if (this.#working && (this.state.ready.size > 0 || this.state.delayed.size > 0)) this.#schedule();
  }

  /**
   * Starts nothing new; what runs gets so many milliseconds and is then interrupted, to go on at the next start. Resolves when the run has ended, or
   * nothing of it runs any more, and its ledger is closed. A second call can only shorten the time.
   */
  drain(periodMs: number): Promise<void> {
    if (this.#journal.broken || (this.#closed && this.#drained === undefined)) return Promise.resolve();
    this.#draining = true;
    if (this.#drained === undefined) {
      let resolve!: () => void;
      const promise = new Promise<void>((done) => (resolve = done));
      this.#drained = { promise, resolve };
    }
    this.#drained.timer?.cancel();
    if (periodMs <= 0) this.#arrive(() => this.#endDrain());
    else this.#drained.timer = this.#deps.clock.after(periodMs, () => this.#arrive(() => this.#endDrain()));
    this.#schedule();
    return this.#drained.promise;
  }

  // --- One turn -----------------------------------------------------------------------------------------------------------------

  #arrive(arrival: () => void): void {
    this.#arrived.push(arrival);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#turnDue || this.#turning) return;
    this.#turnDue = true;
    queueMicrotask(() => this.#turn());
  }

  #turn(): void {
    this.#turnDue = false;
    if (this.#turning || this.#closed || this.#journal.broken) return;
    this.#turning = true;
    try {
      do {
        const arrived = this.#arrived;
        this.#arrived = [];
        for (const arrival of arrived) arrival();
        this.#plan();
      } while (this.#arrived.length > 0);
    } finally {
      this.#turning = false;
    }
    this.#completions = [];
    void this.#journal.flush();
    if (this.#draining) this.#checkDrained();
  }

  #plan(): void {
    if (!this.#working && this.state.stop === undefined) return;
    for (let again = true; again;) {
      again = false;
      for (const action of plan(this.state, this.#facts())) {
        const outcome = this.#act(action);
        if (outcome !== "later") again = true;
        if (outcome === "replan") break;
      }
    }
  }

  #facts(): PlanFacts {
    const delegated = this.#delegation?.facts;
    return {
      now: this.#deps.clock.now(),
      capacity: this.#deps.orchestrators.local.capacity(),
      draining: this.#draining,
      launching: this.#launching,
      stopping: this.#told,
      hooks: this.#hooks.running,
      functionRunning: this.#calls?.running ?? false,
      ...(delegated === undefined ? {} : { delegated }),
    };
  }

  /** Carries out one action. `now`: an event came of it; `later`: nothing did yet; `replan`: what was planned with it may no longer hold. */
  #act(action: Action): "now" | "later" | "replan" {
    switch (action.kind) {
      case "launch":
        return this.#launch(action);
      case "skip":
        this.#emit({ type: "step.skipped", step: action.step, because: action.because });
        return "now";
      case "endDelayed": {
        const { attempt } = this.state.steps.get(action.step)!;
        this.#emit({ type: "step.stopped", step: action.step, attempt: Math.max(1, attempt), because: action.because });
        return "now";
      }
      case "stopStep":
        this.#stopStep(action.step, action.mode, action.because);
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
        this.#wakeAt(action.at);
        return "later";
      case "finish":
        return this.#finish(action);
    }
  }

  #emit(event: RunEvent, line?: RunEvent): string {
    const at = this.#journal.emit(event, line);
    if ("step" in event && typeof event.step === "string" && event.type !== "step.started" && this.#waiters.awaits(event.step)) {
      const { step } = event;
      this.#journal.afterwards(() => this.#waiters.settle(step));
    }
    return at;
  }

  /** Emits an event whose fields may be too long for a line; later, where they have to be put aside first. */
  #emitWhole(event: RunEvent, still: () => boolean, failed: (error: unknown) => void): void {
    if (!needsSpilling(event)) {
      if (still()) this.#emit(event);
      return;
    }
    spillEvent(event, this.#deps.artifacts).then(
      (whole) => this.#arrive(() => void (still() && this.#emit(event, whole))),
      (error: unknown) => this.#arrive(() => failed(error)),
    );
  }

  // --- Steps --------------------------------------------------------------------------------------------------------------------

  #launch(action: Extract<Action, { kind: "launch" }>): "now" | "later" | "replan" {
    const { step: id, attempt } = action;
    const step = this.state.steps.get(id)!;
    const known = this.#prepared.get(id);
    this.#prepared.delete(id);
    const preparation = known?.attempt === attempt ? known.preparation : prepareStep(this.state, step, attempt, this.#context);
    if (preparation instanceof Promise) {
      this.#launching.add(id);
      void preparation.then((prepared) => {
        this.#launching.delete(id);
        this.#prepared.set(id, { attempt, preparation: prepared });
        this.#schedule();
      });
      return "later";
    }
    switch (preparation.kind) {
      case "skip":
        this.#emit({ type: "step.skipped", step: id, because: preparation.because });
        return "now";
      case "cached":
        this.#emitCached(id, preparation);
        return "now";
      case "fail":
        this.#emit({ type: "step.started", step: id, attempt, because: action.because });
        this.#failed(id, preparation.error);
        return "replan";
      case "start":
        this.#begin(action, preparation);
        return "now";
    }
  }

  #emitCached(step: string, { hit, cacheKey, because }: Extract<Preparation, { kind: "cached" }>): void {
    this.#emit({
      type: "step.cached",
      step,
      source: { ...hit.source },
      outputs: hit.outputs,
      ...(cacheKey === undefined ? {} : { cacheKey }),
      because,
    });
  }

  #begin(action: Extract<Action, { kind: "launch" }>, { task, cacheKey, note }: Extract<Preparation, { kind: "start" }>): void {
    const { step, attempt, alone } = action;
    const { local } = this.#deps.orchestrators;
    const because = note === undefined ? action.because : `${action.because}; ${note}`;
    this.#emit({ type: "step.started", step, attempt, ...(cacheKey === undefined ? {} : { cacheKey }), because });
    const token = this.state.lastSeq;
    this.#told.delete(step);
    this.#toldWhy.delete(step);
    const kind = stepKind(this.state.steps.get(step)!.spec);
    local.promise(kind);
    this.#journal.afterwards(() => {
      local.redeem(kind);
      const handlers: TaskHandlers = {
        done: (result, durationMs) => this.#arrive(() => this.#ended(step, token, result, durationMs)),
        output: (lines) => this.#log.write(lines),
        died: (death) => this.#arrive(() => this.#died(step, token, death)),
      };
      try {
        local.startTask(this.#taskId(token), task, handlers, alone ? { alone } : undefined);
      } catch (error) {
        if (!this.#draining) handlers.done({ ok: false, outcome: "failed", error: toStepError(error) }, 0, this.#deps.clock.now());
      }
    });
  }

  #taskId(token: number): string {
    return `${this.state.run}#${token}`;
  }

  #isCurrent(id: string, token: number): boolean {
    const step = this.state.steps.get(id);
    return step?.phase === "running" && step.token === token && !this.#settling.has(id);
  }

  #refuse(step: string, token: number): void {
    const { run, finished } = this.state;
    if (finished === undefined)
      this.#emit({
        type: "step.result_refused",
        step,
        because: `a result came for the attempt that began at line ${token}, which is no longer the current one`,
      });
    else this.#deps.log.warn({ run, step, token }, "a result came for a run that has ended, and was refused");
  }

  #ended(id: string, token: number, result: TaskResult, durationMs: number): void {
    if (!this.#isCurrent(id, token)) return this.#refuse(id, token);
    if (!result.ok) return this.#endedBadly(id, result);
    const step = this.state.steps.get(id)!;
    const outputs = outputsOf(step.spec, result.value);
    if (!outputs.ok) return this.#failed(id, outputs.error);
    const event: RunEvent = {
      type: "step.completed",
      step: id,
      attempt: step.attempt,
      outputs: outputs.outputs,
      durationMs: Math.round(durationMs * 1_000) / 1_000,
    };
    if (!needsSpilling(event)) return this.#completed(id, event);
    this.#settling.add(id);
    spillEvent(event, this.#deps.artifacts).then(
      (whole) => this.#arrive(() => this.#settle(id, token, () => this.#completed(id, whole))),
      (error: unknown) => this.#arrive(() => this.#settle(id, token, () => this.#failed(id, toStepError(error)))),
    );
  }

  #settle(id: string, token: number, act: () => void): void {
    this.#settling.delete(id);
    if (this.#isCurrent(id, token)) act();
    else this.#refuse(id, token);
  }

  #completed(id: string, event: RunEvent): void {
    const at = this.#emit(event);
    const { cacheKey } = this.state.steps.get(id)!;
    if (cacheKey === undefined) return;
    this.#completions.push([cacheKey, { run: this.state.run, step: id, at }]);
    if (this.#completions.length > 1) return;
    const completions = this.#completions;
    this.#journal.afterwards(() => {
      try {
        this.#results.record(completions);
      } catch (error) {
        this.#deps.log.warn({ run: this.state.run, err: error }, "results could not be put into the cache's index");
      }
    });
  }

  #endedBadly(id: string, result: Extract<TaskResult, { ok: false }>): void {
    if (result.outcome === "stopped") {
      const why = this.#toldWhy.get(id);
      if (why !== undefined) return this.#stopped(id, why);
      if (this.#draining) return this.#interrupted(id, "drain", "the daemon was told to end");
    }
    this.#failed(id, result.error);
  }

  #stopped(id: string, because: string): void {
    this.#emit({ type: "step.stopped", step: id, attempt: Math.max(1, this.state.steps.get(id)!.attempt), because });
  }

  #failed(id: string, error: StepError): void {
    const { clock } = this.#deps;
    const trimmed = {
      ...error,
      message: error.message.slice(0, 8_192),
      ...(error.stack === undefined ? {} : { stack: error.stack.slice(0, 8_192) }),
    };
    const mayRetry = !this.#flavor.capabilities.handlesStepRetries;
    this.#emit(afterFailure(this.state, id, trimmed, { now: clock.now(), chance: clock.random(), mayRetry }));
  }

  #interrupted(id: string, cause: Interruption, because: string): void {
    const { clock } = this.#deps;
    this.#emit(afterInterruption(this.state, id, cause, { now: clock.now(), chance: clock.random(), because }));
  }

  #died(id: string, token: number, death: DeathInfo): void {
    if (!this.#isCurrent(id, token)) return this.#refuse(id, token);
    const why = this.#toldWhy.get(id);
    if (why !== undefined) return this.#stopped(id, why);
    if (death.alone || death.inFlight.length <= 1) return this.#failed(id, runnerDeath(`step "${id}"`, death));
    this.#interrupted(id, "runner", `${death.because} with ${death.inFlight.length} pieces of work in it`);
  }

  #stopStep(id: string, mode: "graceful" | "force", because: string): void {
    this.#told.set(id, mode);
    this.#toldWhy.set(id, because);
    const { token } = this.state.steps.get(id)!;
    this.#journal.afterwards(() => this.#deps.orchestrators.local.stopTask(this.#taskId(token), mode, because));
  }

  #callCacheFunction(task: Parameters<PreparationContext["callCacheFunction"]>[0]): Promise<TaskResult> {
    const id = `${this.state.run}#cache-${(this.#cacheFunctions += 1)}`;
    return new Promise((resolve) => {
      this.#deps.orchestrators.local.startTask(id, task, {
        done: (result) => resolve(result),
        output: (lines) => this.#log.write(lines),
        died: (death) => resolve({ ok: false, outcome: "failed", error: runnerDeath("the cache function", death) }),
      });
    });
  }

  // --- The cache before the orchestrator (ZenML's client-side caching) ------------------------------------------------------------

  #mayAnswerFirst(): boolean {
    const { trigger, snapshot } = this.state;
    const own = this.#deps.environment ?? process.env;
    const prevented = (value: unknown): boolean => typeof value === "string" && value !== "" && value !== "0" && value.toLowerCase() !== "false";
    if (prevented(own["ORCHD_PREVENT_CLIENT_SIDE_CACHING"]) || prevented(snapshot.env["ORCHD_PREVENT_CLIENT_SIDE_CACHING"])) return false;
    return (
      this.#flavor.capabilities.supportsClientSideCaching && snapshot.dynamic === undefined && (trigger.kind === "manual" || trigger.kind === "rerun")
    );
  }

  /**
   * Answers steps whose upstreams are all cached.
   *
   * @param known what is known of steps that take a while to prepare
   * @returns those that were begun to be prepared
   */
  #answerFirst(known: Map<string, Preparation>): Promise<unknown>[] {
    const tried = new Set<string>();
    const slow: Promise<unknown>[] = [];
    for (let found = true; found;) {
      found = false;
      for (const id of this.state.ready) {
        if (tried.has(id)) continue;
        tried.add(id);
        const preparation = known.get(id) ?? prepareStep(this.state, this.state.steps.get(id)!, 1, this.#context);
        if (preparation instanceof Promise) slow.push(preparation.then((prepared) => known.set(id, prepared)));
        else if (preparation.kind === "cached") {
          this.#emitCached(id, preparation);
          found = true;
        }
      }
    }
    return slow;
  }

  #delegate(delegation: Delegation, begins: boolean): void {
    if (!begins) return delegation.resume();
    if (!this.#mayAnswerFirst()) return delegation.submit();
    const known = new Map<string, Preparation>();
    const proceed = (): void => {
      if (this.state.stop !== undefined || this.state.finished !== undefined) return delegation.skip();
      const slow = this.#answerFirst(known);
      if (slow.length > 0) void Promise.all(slow).then(() => this.#arrive(proceed));
      else if (this.state.ended < this.state.steps.size) delegation.submit();
      else delegation.skip();
    };
    proceed();
  }

  // --- Time, the end, and ending early ----------------------------------------------------------------------------------------------

  #wakeAt(at: number): void {
    if (this.#wake !== undefined && this.#wake.at <= at) return;
    this.#wake?.timer.cancel();
    const wait = Math.max(0, at - this.#deps.clock.now());
    const timer = this.#deps.clock.after(wait, () => {
      this.#wake = undefined;
      this.#schedule();
    });
    this.#wake = { at, timer };
  }

  #armLimit(): void {
    const { timeoutMs } = this.state.snapshot;
    if (timeoutMs === undefined || this.state.timedOut !== undefined) return;
    this.#limit = this.#deps.clock.after(Math.max(0, timeoutMs - this.state.workedMs), () =>
      this.#arrive(() => {
        if (this.state.finished === undefined)
          this.#emit({ type: "run.timed_out", because: `the run took longer than its limit of ${formatDuration(timeoutMs)}` });
      }),
    );
  }

  #finish({ status, because }: Extract<Action, { kind: "finish" }>): "now" | "later" {
    if (!this.#log.idle) {
      // Whoever sees the last line finds all that was printed.
      void this.#log.flushed().then(() => this.#schedule());
      return "later";
    }
    const { state, deps } = { state: this.state, deps: this.#deps };
    const worked = state.startedAt === undefined ? 0 : state.workedMs + (this.#working ? deps.clock.monotonic() - this.#workingSince : 0);
    const durationMs = Math.round(worked);
    const at = this.#emit({ type: "run.finished", status, because: because.slice(0, 4_096), durationMs });
    this.#journal.afterwards(() => {
      const { run, pipeline, snapshot, startedAt } = state;
      void this.#close().then(() => this.#drained?.resolve());
      this.#resolveFinished({
        run,
        pipeline,
        status,
        because,
        durationMs,
        ...(startedAt === undefined ? {} : { startedAt }),
        finishedAt: at,
        snapshot,
      });
    });
    return "now";
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.timer.cancel();
    this.#limit?.cancel();
    this.#drained?.timer?.cancel();
    this.#calls?.end();
    this.#delegation?.end();
    this.#deps.orchestrators.local.release(this.state.run);
    this.#results.end(this.state);
    await Promise.all([this.#journal.close(), this.#log.close()]).catch((error: unknown) =>
      this.#deps.log.warn({ run: this.state.run, err: error }, "a run's files could not be closed"),
    );
  }

  async #takeOver(because: string): Promise<void> {
    this.#arrived.push(() => {
      this.#emit({ type: "run.recovered", because });
      for (const id of Array.from(this.state.running)) this.#interrupted(id, "daemon", "the daemon ended while it was running");
    });
    this.#turn();
    await this.#journal.flush();
  }

  /** The drain's time is up. */
  #endDrain(): void {
    if (this.#closed || this.state.finished !== undefined) return;
    for (const id of Array.from(this.state.running)) {
      if (this.#settling.has(id)) continue;
      const { token } = this.state.steps.get(id)!;
      this.#interrupted(id, "drain", "the daemon was told to end and the step did not end in time");
      this.#journal.afterwards(() => this.#deps.orchestrators.local.stopTask(this.#taskId(token), "force", "the daemon ends"));
    }
    this.#hooks.abandon();
  }

  /** While it drains: whether nothing of the run runs any more. */
  #checkDrained(): void {
    const busy = this.state.running.size > 0 || !this.#hooks.idle || this.#settling.size > 0;
    if (busy || this.#closed || this.state.finished !== undefined || this.#arrived.length > 0) return;
    void this.#journal
      .flush()
      .then(() => this.#close())
      .then(() => this.#drained?.resolve());
  }
}

function ledgerOptions(run: string, deps: RunDeps, first?: (line: RunLine) => void): LedgerOptions<RunEvent> {
  const { onEvent, onHeld } = deps;
  return {
    clock: deps.clock,
    onFatal: deps.onFatal,
    ...(onHeld === undefined ? {} : { onHeld }),
    onDurable: (lines) => {
      for (const line of lines) {
        first?.(line);
        onEvent?.(run, line);
      }
    },
  };
}

/** The orchestrator of a run that is taken over; where it is no more, one that can only end the run. */
async function flavorOrRemains(state: RunState, deps: RunDeps): Promise<Flavor> {
  try {
    return await deps.orchestrators.resolve(state.snapshot.orchestrator);
  } catch (error) {
    const lost = { name: "SubmissionError", message: toStepError(error).message, code: FAILURE_CODES.submission };
    return { ...(await deps.orchestrators.resolve(undefined)), name: state.snapshot.orchestrator.flavor, lost };
  }
}
