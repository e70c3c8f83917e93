/**
 * A run's steps, from the decision to start one to the line that says how its attempt ended.
 *
 * It decides nothing: `afterFailure` and `afterInterruption` say what a failure or an interruption
 * means. It knows what no ledger has: which steps are being prepared, what the running ones were
 * told, and whose results are being put into artifacts.
 *
 * A result counts only under the fencing token of the current attempt (docs/semantics.md 14). Any
 * other is refused, and a line says so.
 *
 * It stays one file: each way to the end of an attempt meets all others here, by its token.
 */
import { setMaxListeners } from "node:events";
import type { RunEvent } from "../core/event.ts";
import { clipError, toStepError, type StepError } from "../core/failure.ts";
import {
  afterFailure,
  afterInterruption,
  afterWait,
  type Interruption,
} from "../core/attempt-end.ts";
import { runnerDeath, type Action } from "../core/plan.ts";
import { laneOf } from "../core/lane.ts";
import type { PlacedAt, StepState } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import type { CacheCandidate } from "../ledger/cache-index.ts";
import { needsSpilling, spillEvent } from "../ledger/spill-event.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { StagedValue, TaskResult } from "../core/task.ts";
import { runTask, type TaskEnd } from "../places/run-task.ts";
import { CacheFunctionCalls } from "./cache-function-calls.ts";
import { KnownKeys } from "./known-keys.ts";
import type { ResultCache } from "./result-cache.ts";
import type { ActOutcome, RunParts } from "./run-parts.ts";
import { FarSteps } from "./far-steps.ts";
import { adoptSteps, type AdoptionHearing } from "./step-adoption.ts";
import { StepFrames } from "./step-frames.ts";
import { outputsOf } from "./step-outputs.ts";
import { prepareStep, type Preparation, type PreparationContext } from "./step-preparation.ts";

type Launch = Extract<Action, { kind: "launch" }>;

/**
 * How long a step that waits for room goes by what it was prepared as, in milliseconds: the files
 * of its cache key may change while it waits, and it would leave its result under the old ones.
 */
const FRESH_MS = 10_000;

/** Who starts the attempt after one that failed. */
export type RetriedBy = "orchd" | "orchestrator" | "nobody";

/** Runs the steps of one run. */
export class StepRuns {
  /** The steps that are being prepared. */
  readonly launching = new Set<string>();
  /** The running steps that were told to end, and how. */
  readonly told = new Map<string, "graceful" | "force">();
  readonly #parts: RunParts;
  readonly #retriedBy: () => RetriedBy;
  readonly #results: ResultCache;
  readonly #context: PreparationContext;
  /** What was prepared and waits for room; `at` is monotonic. */
  readonly #prepared = new Map<
    string,
    { readonly attempt: number; readonly preparation: Preparation; readonly at: number }
  >();
  readonly #toldWhy = new Map<string, string>();
  /** The steps whose result is being put into artifacts. */
  readonly #settling = new Set<string>();
  /** The steps that an earlier daemon started, and that still ran. */
  readonly #adopted = new Set<string>();
  readonly #far: FarSteps;
  /** The tasks whose ends are written with this turn's lines. */
  #over: string[] = [];
  /** The place knows that steps of this run start. */
  #expected = false;
  /** The steps that completed in this turn, for the cache's index. */
  #completions: [key: string, candidate: CacheCandidate][] = [];
  /** Aborted when the run starts no more steps. */
  readonly #preparing = new AbortController();

  constructor(parts: RunParts, flavor: Flavor, results: ResultCache, retriedBy: () => RetriedBy) {
    const { deps, secrets, environment } = parts;
    this.#retriedBy = retriedBy;
    this.#parts = parts;
    this.#results = results;
    this.#far = new FarSteps(parts);
    // Every preparation listens.
    setMaxListeners(0, this.#preparing.signal);
    const isLocal = flavor.ref === undefined && flavor.live === undefined;
    const cacheFunctions = new CacheFunctionCalls(parts, this.#preparing.signal);
    this.#context = {
      deps,
      secrets,
      results,
      keys: new KnownKeys(),
      environment,
      frames: new StepFrames(parts.state, deps, environment),
      enableCache: isLocal ? deps.settings.enableCache : flavor.capabilities.enableCache,
      signal: this.#preparing.signal,
      callCacheFunction: (task) => cacheFunctions.call(task),
      output: (lines) => parts.output(lines),
    };
  }

  /**
   * Whether no step runs here and no result is on its way into the ledger. While the daemon ends, a
   * step that goes on without it does not count.
   */
  get idle(): boolean {
    if (this.#settling.size > 0) return false;
    const { running, steps } = this.#parts.state;
    const draining = this.#parts.draining();
    for (const id of running)
      if (steps.get(id)!.elsewhere !== true && !(draining && this.#goesOn(id))) return false;
    return true;
  }

  /** Prepares an attempt of a step; a promise if that takes a while. */
  prepare(id: string, attempt: number): Preparation | Promise<Preparation> {
    const { state } = this.#parts;
    return prepareStep(state, state.steps.get(id)!, attempt, this.#context);
  }

  /** Starts an attempt, uses an earlier result instead, or skips the step. */
  launch(action: Launch): ActOutcome {
    const { step: id, attempt } = action;
    const now = this.#parts.deps.clock.monotonic();
    const kept = this.#prepared.get(id);
    this.#prepared.delete(id);
    const known = kept?.attempt === attempt && now - kept.at < FRESH_MS ? kept : undefined;
    const preparation = known?.preparation ?? this.prepare(id, attempt);
    if (preparation instanceof Promise) {
      this.launching.add(id);
      void preparation.then((prepared) =>
        this.#parts.arrive(() => {
          this.launching.delete(id);
          const at = this.#parts.deps.clock.monotonic();
          if (prepared.kind !== "dropped")
            this.#prepared.set(id, { attempt, preparation: prepared, at });
        }),
      );
      return "later";
    }
    switch (preparation.kind) {
      case "skip":
        this.#parts.emit({ type: "step.skipped", step: id, because: preparation.because });
        return "now";
      case "cached":
        this.answer(id, preparation);
        return "now";
      case "fail":
        this.#parts.emit({ type: "step.started", step: id, attempt, because: action.because });
        this.#failed(id, preparation.error);
        return "replan";
      case "start":
        if (!this.#hasRoom(id)) {
          this.#prepared.set(id, { attempt, preparation, at: known?.at ?? now });
          return "later";
        }
        this.#begin(action, preparation);
        return "now";
      case "dropped":
        return "later";
    }
  }

  /** Whether a place on other machines still has room: a step of another lane may have taken it. */
  #hasRoom(id: string): boolean {
    const { state, deps } = this.#parts;
    const { spec } = state.steps.get(id)!;
    if (spec.on === undefined) return true;
    const [{ place }, lane] = [deps, laneOf(spec)];
    return place.hasRoom?.(lane) ?? (place.capacity()[lane] ?? 0) > 0;
  }

  /** A step has waited for room for as long as it may. */
  expire(id: string, because: string): void {
    const { state, deps, emit } = this.#parts;
    const why = deps.place.whyNot?.(laneOf(state.steps.get(id)!.spec));
    this.#prepared.delete(id);
    emit(afterWait(state, id, because, why));
  }

  /** The run starts no more steps: what is being prepared is dropped. */
  stopPreparing(): void {
    if (!this.#preparing.signal.aborted)
      this.#preparing.abort(new Error("the run starts no more steps"));
  }

  /** The run is over here: the place forgets its frames, and tells no more of what goes on. */
  end(): void {
    this.stopPreparing();
    if (this.#parts.state.running.size > 0) this.#parts.deps.place.leave?.(this.#running());
    this.#context.frames.end();
  }

  /** Uses an earlier result for a step. */
  answer(step: string, { hit, cacheKey, because }: Extract<Preparation, { kind: "cached" }>): void {
    const source = { run: hit.source.run, step: hit.source.step };
    const { outputs } = hit;
    this.#parts.emit(
      cacheKey === undefined
        ? { type: "step.cached", step, source, outputs, because }
        : { type: "step.cached", step, source, outputs, cacheKey, because },
    );
  }

  /** Tells a running step to end. */
  stop(id: string, mode: "graceful" | "force", because: string): void {
    const { state, journal, deps } = this.#parts;
    this.told.set(id, mode);
    this.#toldWhy.set(id, because);
    const { token } = state.steps.get(id)!;
    journal.afterwards(() => deps.place.stop(this.#taskId(token), mode, because));
  }

  /** Records that a step does not run, or not again, because the run was stopped. */
  stopped(id: string, because: string): void {
    const { state, emit } = this.#parts;
    emit({
      type: "step.stopped",
      step: id,
      attempt: Math.max(1, state.steps.get(id)!.attempt),
      because,
    });
  }

  /**
   * Goes on with the steps of the daemon before this one that still run. Resolves once this machine
   * has told; what other machines tell comes later. Never rejects.
   */
  async adopt(): Promise<void> {
    const { state } = this.#parts;
    const hear: AdoptionHearing = {
      ended: (...end) => this.#ended(...end),
      placed: (...at) => this.#placed(...at),
    };
    this.#far.ask(
      (steps) => adoptSteps(this.#parts, this.#context, steps, hear),
      (...answer) => this.#answered(...answer),
    );
    const here = [...state.running].flatMap((id) => {
      const { spec, token, elsewhere } = state.steps.get(id)!;
      const isContained = spec.container !== undefined && elsewhere !== true;
      return isContained ? [[id, token] as const] : [];
    });
    for (const id of await adoptSteps(this.#parts, this.#context, here, hear))
      this.#adopted.add(id);
  }

  /** Another machine has said whether a step of an earlier daemon still runs there. */
  #answered(id: string, token: number, lives: boolean): void {
    const { deps } = this.#parts;
    if (!this.#isCurrent(id, token)) return;
    const why = this.#toldWhy.get(id);
    if (lives) {
      const mode = this.told.get(id);
      if (mode !== undefined) deps.place.stop(this.#taskId(token), mode, why!);
    } else if (why !== undefined) this.stopped(id, why);
    else this.#lostWithDaemon(id);
  }

  /** Interrupts the steps that were running when the daemon before this one ended. */
  interruptAll(): void {
    const { running, steps } = this.#parts.state;
    // A step that the orchestrator started in a place of its own goes on without a daemon.
    for (const id of Array.from(running)) {
      const isGoing = this.#adopted.has(id) || this.#far.isAsked(id);
      if (steps.get(id)!.elsewhere !== true && !isGoing) this.#lostWithDaemon(id);
    }
  }

  #lostWithDaemon(id: string): void {
    if (this.#mayHaveBegun(this.#parts.state.steps.get(id)!))
      this.#interrupted(id, "daemon", "the daemon ended while it was running");
    else this.#interrupted(id, "waiting", "the daemon ended before it had begun");
  }

  /** Whether a step goes on when the daemon ends, for the next one to ask for. */
  #goesOn(id: string): boolean {
    return this.#far.isLeft(id) || this.#outlives(id);
  }

  #outlives(id: string): boolean {
    const { token } = this.#parts.state.steps.get(id)!;
    return this.#parts.deps.place.outlives?.(this.#taskId(token)) === true;
  }

  #mayHaveBegun({ alone, token }: StepState): boolean {
    const { state, deps } = this.#parts;
    return alone || (deps.place.ahead?.mayHaveBegun(state.run, this.#taskId(token)) ?? true);
  }

  /**
   * Interrupts the steps that still run, because the daemon ends and their time is up. A result
   * that is on its way into the ledger still gets there.
   *
   * A step on another machine is told to end, and is interrupted when that machine says that it has
   * (far-steps.ts).
   */
  abandon(): void {
    const { state, journal, deps } = this.#parts;
    const far: string[] = [];
    for (const id of Array.from(state.running)) {
      const { token, elsewhere, spec } = state.steps.get(id)!;
      if (this.#settling.has(id) || elsewhere === true || this.#goesOn(id)) continue;
      if (spec.on !== undefined) {
        far.push(id);
        journal.afterwards(() => deps.place.stop(this.#taskId(token), "force", "the daemon ends"));
        continue;
      }
      this.#interrupted(id, "drain", "the daemon was told to end and the step did not end in time");
      journal.afterwards(() => deps.place.stop(this.#taskId(token), "force", "the daemon ends"));
    }
    this.#far.abandon(far);
  }

  /** Ends the steps that run, at once, where nothing can be recorded of them any more. */
  kill(because: string): void {
    const { deps } = this.#parts;
    const tasks = this.#running();
    for (const task of tasks) deps.place.stop(task, "force", because);
    deps.place.ahead?.settle([...tasks, ...this.#over]);
  }

  /**
   * A turn is over. What completes from now on is written with the next turn's lines, and may be in
   * the cache's index only when those are durable.
   */
  endTurn(): void {
    this.#completions = [];
    this.#over = [];
  }

  #begin(
    { step, attempt, alone, share = 1, because }: Launch,
    { task, cacheKey, note }: Extract<Preparation, { kind: "start" }>,
  ): void {
    const { state, deps, journal, emit, arrive, output, draining } = this.#parts;
    const { place } = deps;
    const why = note === undefined ? because : `${because}; ${note}`;
    // Two literals: adding members after a spread costs V8 forty times as much.
    emit(
      cacheKey === undefined
        ? { type: "step.started", step, attempt, because: why }
        : { type: "step.started", step, attempt, cacheKey, because: why },
    );
    const token = state.lastSeq;
    this.told.delete(step);
    this.#toldWhy.delete(step);
    const lane = laneOf(state.steps.get(step)!.spec);
    place.promise(lane, share);
    if (!this.#expected) place.ahead?.expect(state.run);
    this.#expected = true;
    const ahead = share < 1;
    const placed =
      lane === "module" || lane === "shell"
        ? undefined
        : (at: PlacedAt): void => arrive(() => this.#placed(step, token, at));
    journal.afterwards(() => {
      place.redeem(lane, share);
      const id = this.#taskId(token);
      runTask(place, { id, task, alone, ahead, output, placed }, (end) => {
        // The drain interrupts it: it starts again with the next daemon.
        if (end.kind === "unstarted" && draining()) return;
        arrive(() => this.#ended(step, token, end, id));
      });
    });
  }

  #placed(step: string, token: number, at: PlacedAt): void {
    const { emit, state } = this.#parts;
    const { attempt } = state.steps.get(step)!;
    const { place, host, ref } = at;
    if (this.#isCurrent(step, token))
      emit({ type: "step.placed", step, attempt, place, host, ref });
  }

  /** The ids of the tasks that run. */
  #running(): string[] {
    const { running, steps } = this.#parts.state;
    return Array.from(running, (id) => this.#taskId(steps.get(id)!.token));
  }

  #taskId(token: number): string {
    return `${this.#parts.state.run}#${token}`;
  }

  #isCurrent(id: string, token: number): boolean {
    const step = this.#parts.state.steps.get(id);
    return step?.phase === "running" && step.token === token && !this.#settling.has(id);
  }

  #refuse(step: string, token: number): void {
    const { state, deps, emit } = this.#parts;
    if (state.finished === undefined)
      emit({
        type: "step.result_refused",
        step,
        because:
          `a result came for the attempt that began at line ${token}, ` +
          "which is no longer the current one",
      });
    else
      deps.log.warn(
        { run: state.run, step, token },
        "a result came for a run that has ended, and was refused",
      );
  }

  /** @param task its id: the place's own text of it, which is hashed already */
  #ended(id: string, token: number, end: TaskEnd, task = this.#taskId(token)): void {
    this.#take(id, token, end);
    if (!this.#settling.has(id)) this.#isOver(task);
  }

  /** The line that says how a task ended is written with this turn's lines. */
  #isOver(task: string): void {
    this.#over.push(task);
    if (this.#over.length > 1) return;
    const over = this.#over;
    const { deps, journal } = this.#parts;
    journal.afterwards(() => deps.place.ahead?.settle(over));
  }

  #take(id: string, token: number, end: TaskEnd): void {
    if (!this.#isCurrent(id, token)) {
      if (end.kind === "result" && "staged" in end.result)
        this.#parts.deps.artifacts.discard(end.result.staged.files);
      return this.#refuse(id, token);
    }
    switch (end.kind) {
      case "result":
        if (!end.result.ok) this.#endedBadly(id, end.result);
        else if ("staged" in end.result)
          this.#endedInFiles(id, token, end.result.staged, end.durationMs);
        else this.#endedWell(id, token, end.result.value, end.durationMs);
        break;
      case "unstarted":
        this.#failed(id, toStepError(end.error));
        break;
      case "ownDeath":
      case "lost":
        this.#died(id, end);
        break;
    }
  }

  #endedWell(id: string, token: number, value: Json, durationMs: number): void {
    const { state, deps } = this.#parts;
    const step = state.steps.get(id)!;
    const outputs = outputsOf(step.spec, value);
    if (!outputs.ok) return this.#failed(id, outputs.error);
    const event = completion(step, outputs.outputs, durationMs);
    if (!needsSpilling(event)) return this.#completed(id, event);
    this.#whenStored(id, token, spillEvent(event, deps.artifacts));
  }

  /** The step's result is large, and in files. */
  #endedInFiles(
    id: string,
    token: number,
    { value, files }: StagedValue,
    durationMs: number,
  ): void {
    const { state, deps } = this.#parts;
    const step = state.steps.get(id)!;
    const outputs = step.spec.outputs === undefined ? { result: value } : value;
    const event = completion(step, outputs as { readonly [name: string]: Json }, durationMs);
    const adopted = Promise.all(files.map((file) => deps.artifacts.adopt(file)));
    this.#whenStored(
      id,
      token,
      adopted.then(() => event),
    );
  }

  /** Records a step's end when its long outputs are in files, durably. */
  #whenStored(id: string, token: number, stored: Promise<RunEvent>): void {
    const { arrive } = this.#parts;
    this.#settling.add(id);
    stored.then(
      (whole) => arrive(() => this.#settle(id, token, () => this.#completed(id, whole))),
      (error: unknown) =>
        arrive(() => this.#settle(id, token, () => this.#failed(id, toStepError(error)))),
    );
  }

  #settle(id: string, token: number, act: () => void): void {
    this.#settling.delete(id);
    if (this.#isCurrent(id, token)) act();
    else this.#refuse(id, token);
    this.#isOver(this.#taskId(token));
  }

  #completed(id: string, event: RunEvent): void {
    const { state, deps, journal, emit } = this.#parts;
    const at = emit(event);
    const { cacheKey } = state.steps.get(id)!;
    if (cacheKey === undefined) return;
    this.#completions.push([cacheKey, { run: state.run, step: id, at }]);
    if (this.#completions.length > 1) return;
    const completions = this.#completions;
    journal.afterwards(() => {
      try {
        this.#results.record(completions);
      } catch (error) {
        deps.log.warn(
          { run: state.run, err: error },
          "results could not be put into the cache's index",
        );
      }
    });
  }

  #endedBadly(id: string, result: Extract<TaskResult, { ok: false }>): void {
    if (result.outcome === "stopped") {
      const why = this.#toldWhy.get(id);
      if (why !== undefined) return this.stopped(id, why);
      if (this.#parts.draining())
        return this.#interrupted(id, "drain", "the daemon was told to end");
    }
    this.#failed(id, result.error);
  }

  #failed(id: string, error: StepError): void {
    const { state, deps, emit } = this.#parts;
    const retriedBy = this.#retriedBy();
    emit(
      afterFailure(state, id, clipError(error), {
        now: deps.clock.now(),
        chance: deps.clock.random(),
        mayRetry: retriedBy !== "nobody",
        isAsked: retriedBy === "orchestrator",
      }),
    );
  }

  #interrupted(id: string, cause: Interruption, because: string): void {
    const { state, deps, emit } = this.#parts;
    emit(
      afterInterruption(state, id, cause, {
        now: deps.clock.now(),
        chance: deps.clock.random(),
        because,
      }),
    );
  }

  #died(id: string, { kind, death }: Extract<TaskEnd, { kind: "ownDeath" | "lost" }>): void {
    const why = this.#toldWhy.get(id);
    if (why !== undefined) this.stopped(id, why);
    else if (kind === "ownDeath") this.#failed(id, runnerDeath(`step "${id}"`, death));
    else if (death.blameless !== undefined)
      this.#interrupted(id, death.blameless === "lost" ? "machine" : "waiting", death.because);
    else
      this.#interrupted(
        id,
        death.behind === true ? "behind" : "runner",
        `${death.because} with ${death.inFlight.length} pieces of work in it`,
      );
  }
}

function completion(
  { spec, attempt }: StepState,
  outputs: { readonly [name: string]: Json },
  durationMs: number,
): RunEvent {
  return {
    type: "step.completed",
    step: spec.id,
    attempt,
    outputs,
    durationMs: Math.round(durationMs * 1_000) / 1_000,
  };
}
