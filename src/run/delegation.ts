/**
 * A run that a user's orchestrator drives: its code runs in a runner, and says what is to run by
 * `runStep`. Each step that it asks for goes the way of any step, with its cache, retries and
 * hooks; what it does not ask for does not run.
 *
 * States: asked (`submit.started`) -> accepted (`submit.accepted`) -> ended (its task is over and,
 * where it reports by `fetchStatus`, the run is over elsewhere too). A crash while asked is the one
 * moment in which nobody knows whether the orchestrator has the run: `fetchStatus` decides, or
 * `resubmits`; otherwise the run fails, `submission unknown` (semantics.md 22). The planner hears
 * of all this by {@link Delegation.facts}.
 */
import type { Timer } from "../clock.ts";
import { FAILURE_CODES, clipError, toStepError, type StepError } from "../core/failure.ts";
import type { PlanFacts } from "../core/plan.ts";
import { allEnded, runStatus } from "../core/run-status.ts";
import type { Json, Snapshot } from "../core/snapshot.ts";
import { isFinal, STATUSES, type Status } from "../core/status.ts";
import type { CachePrepass } from "./cache-prepass.ts";
import type { DynamicCalls } from "./dynamic-calls.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { WAIT_CODE, type FlavorTask, type TaskResult } from "../core/task.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import type { RunParts } from "./run-parts.ts";
import type { Stack } from "../orchestrators/stack.ts";
import type { FetchedStatus, PlaceholderRun } from "../orchestrators/submission.ts";

/** How often a run that goes on elsewhere is asked after. */
const FETCH_MS = 5_000;
const RUN_ID_CHARACTERS = 1_000;

/** What a delegation is made of besides its run. */
export interface DelegationParts {
  readonly flavor: Flavor;
  readonly ref: NonNullable<Flavor["ref"]>;
  readonly stack: Stack;
  /** A dynamic pipeline's function. */
  readonly calls?: DynamicCalls | undefined;
}

/** See the head of this file. */
export class Delegation {
  /** The orchestrator had the pipeline's function run. */
  runsFunction = false;
  readonly #parts: RunParts;
  readonly #of: DelegationParts;
  readonly #requested = new Set<string>();
  /** It may still ask for steps: from the run's start on. */
  #open = true;
  #over = false;
  #tasks = 0;
  #submitting: string | undefined;
  /** It gave a `waitForCompletion`. */
  #waits = false;
  #poll: Timer | undefined;

  constructor(parts: RunParts, of: DelegationParts) {
    this.#parts = parts;
    this.#of = of;
  }

  /** What the planner has to know; undefined where a function says which steps there are. */
  get facts(): NonNullable<PlanFacts["delegated"]> | undefined {
    return this.#of.calls === undefined
      ? { requested: this.#requested, open: this.#open }
      : undefined;
  }

  /** Hands the run over, with what the cache leaves of it. */
  begin(prepass: CachePrepass): void {
    if (!prepass.isAllowed) return this.#submit();
    const { state } = this.#parts;
    prepass.run(() => {
      const nothingLeft =
        state.stop !== undefined || state.finished !== undefined || allEnded(state);
      if (nothingLeft) this.#skip();
      else this.#submit();
    });
  }

  /** Goes on with a run that an earlier daemon had handed over. */
  resume(): void {
    const { submission, stop } = this.#parts.state;
    if (submission === "failed" || stop !== undefined || allEnded(this.#parts.state))
      return this.#skip();
    const { capabilities } = this.#of.flavor;
    if (submission === "none") return this.#submit();
    if (capabilities.reportsStatus) return this.#fetch(true);
    if (capabilities.resubmits) return this.#submit();
    this.#unknown();
  }

  /**
   * Passes a stop on. Steps that run through `runStep` are stopped by the planner; this is for what
   * the orchestrator started in other ways.
   */
  stopRun(graceful: boolean): void {
    if (this.#parts.state.submission === "none" || this.#parts.state.submission === "failed")
      return;
    this.#parts.journal.afterwards(() => {
      this.#start(
        "stopRun",
        { run: this.#placeholder() as unknown as Json, graceful },
        false,
        (result) => {
          if (!result.ok)
            this.#warn(
              `the orchestrator ${this.#of.flavor.name} could not stop the run: ${result.error.message}`,
            );
        },
      );
    });
  }

  /** The run is let go of. */
  end(): void {
    this.#over = true;
    this.#poll?.cancel();
    if (this.#submitting !== undefined)
      this.#parts.deps.place.stop(this.#submitting, "force", "the run is no longer driven");
  }

  /** Nothing is left for the orchestrator to do. */
  #skip(): void {
    this.#open = false;
  }

  /** Calls the orchestrator. */
  #submit(alone = false): void {
    const { emit, state, journal } = this.#parts;
    emit({ type: "submit.started", because: `handed to the orchestrator ${this.#of.flavor.name}` });
    let argument: Json;
    try {
      argument = this.#submission();
    } catch (error) {
      return this.#fail(toStepError(error));
    }
    const method =
      state.snapshot.dynamic === undefined ? "submitPipeline" : "submitDynamicPipeline";
    journal.afterwards(() => {
      this.#submitting = this.#start(method, argument, alone, (result) => this.#submitted(result));
    });
  }

  #start(
    method: FlavorTask["method"],
    argument: Json,
    alone: boolean,
    done: (result: TaskResult) => void,
  ): string {
    const { state, deps, environment, arrive, output } = this.#parts;
    const id = `${state.run}#${method}-${(this.#tasks += 1)}`;
    const { env, secrets } = environment.shared();
    const task: FlavorTask = {
      kind: "flavor",
      code: this.#of.ref.code,
      config: this.#of.ref.config,
      method,
      argument,
      run: {
        id: state.run,
        pipeline: state.pipeline,
        attempt: 1,
        ...(state.trigger.scheduledFor === undefined
          ? {}
          : { scheduledFor: state.trigger.scheduledFor }),
      },
      env,
      ...(secrets.length === 0 ? {} : { secrets }),
      gracePeriodMs: state.snapshot.gracePeriodMs,
      ...(method === "fetchStatus" || method === "stopRun" ? { timeoutMs: 30_000 } : {}),
    };
    const ended = (result: TaskResult): void => {
      arrive(() => {
        if (!this.#over) done(result);
      });
    };
    const mayRepeat =
      (method === "submitPipeline" || method === "submitDynamicPipeline") &&
      this.#of.flavor.capabilities.resubmits;
    runTask(
      deps.place,
      { id, task, alone, output, call: (name, given) => this.#call(name, given) },
      (end) => {
        if (end.kind === "lost" && mayRepeat) arrive(() => void (this.#over || this.#submit(true)));
        else
          ended(
            resultOf(end, ({ because, code }) => ({
              name: "RunnerDied",
              message: `${because} while the orchestrator was in it`,
              code,
            })),
          );
      },
    );
    return id;
  }

  #call(method: string, argument: Json): Promise<Json> {
    const { arrive } = this.#parts;
    if (method === "runStep")
      return this.#runStep(argument as { step: string; orchestratorRunId?: string });
    if (method === "accepted")
      return new Promise((resolve) =>
        arrive(() => this.#accepted(argument as Record<string, Json>, () => resolve(null))),
      );
    if (method === "runFunction") return this.#runFunction();
    // The planner runs both hooks once a run, in their places; there is nothing left to do for
    // them.
    if (method === "runInitHook" || method === "runCleanupHook") return Promise.resolve(null);
    return Promise.reject(new Error(`an orchestrator cannot call "${method}"`));
  }

  #runStep({
    step,
    orchestratorRunId,
  }: {
    step: string;
    orchestratorRunId?: string;
  }): Promise<Json> {
    const { state, arrive, journal, waiters } = this.#parts;
    const known = state.steps.get(step);
    if (known === undefined)
      return Promise.reject(
        new Error(`the pipeline ${state.pipeline} has no step ${JSON.stringify(step)}`),
      );
    const ended = waiters.outputsOf(step);
    arrive(() => {
      if (this.#over) return;
      this.#identify(orchestratorRunId);
      if (known.phase === "ended") journal.afterwards(() => waiters.settle(step));
      else this.#requested.add(step);
    });
    return ended.then(() => null);
  }

  /**
   * The orchestrator's own run id is recorded before the first step, so that all steps see the
   * same.
   */
  #identify(orchestratorRunId: string | undefined): void {
    const { state, emit } = this.#parts;
    if (
      this.#requested.size > 0 ||
      state.submission !== "started" ||
      orchestratorRunId === undefined ||
      orchestratorRunId === state.orchestratorRunId
    )
      return;
    emit({
      type: "submit.identified",
      orchestratorRunId: orchestratorRunId.slice(0, RUN_ID_CHARACTERS),
    });
  }

  #runFunction(): Promise<Json> {
    const { calls } = this.#of;
    if (calls === undefined)
      return Promise.reject(
        new Error("the pipeline is not a dynamic one: it has no function to run"),
      );
    const ended = calls.ended();
    this.#parts.arrive(() => void (this.runsFunction = true));
    return ended.then((error) => {
      if (error !== undefined)
        throw Object.assign(new Error(error.message), { name: error.name, code: error.code });
      return null;
    });
  }

  #accepted(
    { orchestratorRunId, metadata, waits }: Record<string, Json>,
    recorded: () => void,
  ): void {
    const { emitWhole, journal, state } = this.#parts;
    this.#waits = waits === true;
    if (this.#over || state.finished !== undefined) return recorded();
    const named =
      typeof orchestratorRunId === "string" && orchestratorRunId !== ""
        ? orchestratorRunId.slice(0, RUN_ID_CHARACTERS)
        : undefined;
    // Steps that have run hold the id of then.
    const id = this.#requested.size === 0 ? named : state.orchestratorRunId;
    emitWhole(
      {
        type: "submit.accepted",
        ...(id === undefined ? {} : { orchestratorRunId: id }),
        metadata: (metadata ?? {}) as { [name: string]: Json },
      },
      () => {
        journal.afterwards(recorded);
        return !this.#over && state.finished === undefined;
      },
      (error) => this.#fail(toStepError(error)),
    );
  }

  /** The orchestrator's task is over: it returned, and whatever it had to wait for came. */
  #submitted(result: TaskResult): void {
    this.#submitting = undefined;
    const { state, emit } = this.#parts;
    if (state.finished !== undefined) return;
    const waitFailed = !result.ok && result.error.code === WAIT_CODE;
    if (waitFailed) this.#warn(`waiting for the run's end failed: ${result.error.message}`);
    else if (!result.ok) return this.#refused(result.error);
    else if (state.submission !== "accepted") emit({ type: "submit.accepted", metadata: {} });
    if (this.#of.flavor.capabilities.reportsStatus && !allEnded(state)) return this.#fetch(false);
    // Steps that orchd was never asked for ran elsewhere, and the end that was waited for is all
    // there is to know of them. An error of waiting says nothing of them at all, and must not make
    // the run fail.
    if (this.#waits && this.#requested.size === 0 && this.#of.calls === undefined)
      return waitFailed ? this.#skip() : this.#followEnd("completed");
    this.#close();
  }

  #refused(error: StepError): void {
    const { state } = this.#parts;
    // An orchestrator that passes a failed step's error on has not refused the run: the step's
    // failure is the run's.
    const passedOn =
      state.failed > 0 ||
      state.stop !== undefined ||
      state.timedOut !== undefined ||
      state.functionError !== undefined;
    if (passedOn || allEnded(state)) this.#close();
    else this.#fail(error);
  }

  #fail(error: StepError): void {
    this.#open = false;
    this.#parts.emit({
      type: "submit.failed",
      error: { ...clipError(error), code: error.code ?? FAILURE_CODES.submission },
    });
    if (this.#of.calls !== undefined && !this.runsFunction)
      this.#of.calls.stop("the orchestrator did not take the run");
  }

  #unknown(): void {
    this.#fail({
      name: "SubmissionUnknown",
      message: `submission unknown: the daemon ended while the orchestrator ${this.#of.flavor.name} had the run, and it tells nothing by fetchStatus; let it declare resubmits if it may be asked again`,
      code: FAILURE_CODES.submission,
    });
  }

  /** The orchestrator is done: what it did not run is left out. */
  #close(): void {
    this.#open = false;
    const { state } = this.#parts;
    if (this.#of.calls !== undefined) {
      if (!this.runsFunction && state.function === "owed")
        this.#fail({
          name: "SubmissionError",
          message: "the orchestrator ended without running the pipeline's function",
        });
      return;
    }
    const left = [...state.steps.values()].filter(
      (step) =>
        step.phase !== "ended" &&
        step.phase !== "running" &&
        step.phase !== "delayed" &&
        !state.doomed.has(step.spec.id) &&
        !this.#requested.has(step.spec.id),
    );
    const halted =
      state.failed > 0 ||
      state.stop !== undefined ||
      state.timedOut !== undefined ||
      state.init === "failed";
    if (left.length === 0 || halted) return;
    const names = left.map(({ spec }) => JSON.stringify(spec.id)).join(", ");
    this.#fail({
      name: "SubmissionError",
      message: `the orchestrator ended without running ${names.slice(0, 1_000)}`,
    });
  }

  #warn(message: string): void {
    this.#parts.deps.log.warn({ run: this.#parts.state.run }, message);
  }

  // --- Runs that go on elsewhere ---

  #fetch(first: boolean): void {
    const argument = { run: this.#placeholder() as unknown as Json, includeSteps: true };
    this.#parts.journal.afterwards(() => {
      this.#start("fetchStatus", argument, false, (result) => this.#fetched(result, first));
    });
  }

  #fetched(result: TaskResult, first: boolean): void {
    const { state, deps, arrive } = this.#parts;
    if (state.finished !== undefined || allEnded(state)) return this.#close();
    if (!result.ok)
      this.#warn(
        `the orchestrator ${this.#of.flavor.name} could not say how the run stands: ${result.error.message}`,
      );
    const fetched = (result.ok ? (result.value ?? {}) : {}) as FetchedStatus;
    const known = fetched.status !== undefined && STATUSES.includes(fetched.status);
    if (!known && first && result.ok) {
      if (this.#of.flavor.capabilities.resubmits) this.#submit();
      else this.#unknown();
      return;
    }
    if (known) {
      if (state.submission === "started")
        this.#parts.emit({ type: "submit.accepted", metadata: {} });
      for (const [id, status] of Object.entries(fetched.steps ?? {})) this.#follow(id, status);
      if (isFinal(fetched.status)) return this.#followEnd(fetched.status);
    }
    this.#poll = deps.clock.after(FETCH_MS, () =>
      arrive(() => void (this.#over || this.#fetch(first && !known))),
    );
  }

  /**
   * Records what became of a step elsewhere. One that orchd runs itself, or that has ended, is left
   * as it is: a status never goes back.
   */
  #follow(id: string, status: Status): void {
    const { state, emit } = this.#parts;
    const step = state.steps.get(id);
    if (step === undefined || step.phase === "ended" || this.#requested.has(id)) return;
    const because = "the orchestrator said so";
    const attempt = Math.max(1, step.attempt);
    if (step.phase !== "running" && ["running", "completed", "cached", "failed"].includes(status))
      emit({ type: "step.started", step: id, attempt, because });
    if (status === "completed" || status === "cached")
      emit({ type: "step.completed", step: id, attempt, outputs: { result: null }, durationMs: 0 });
    else if (status === "failed")
      emit({
        type: "step.failed",
        step: id,
        attempt,
        error: { name: "StepFailed", message: "the orchestrator reported that the step failed" },
        because,
      });
    else if (status === "stopped") emit({ type: "step.stopped", step: id, attempt, because });
    else if (status === "skipped") emit({ type: "step.skipped", step: id, because });
  }

  #followEnd(status: Status): void {
    const { state } = this.#parts;
    const left = [...state.steps.values()].filter(
      (step) => step.phase !== "ended" && !this.#requested.has(step.spec.id),
    );
    if (status === "completed" || status === "cached")
      for (const { spec } of left) this.#follow(spec.id, "completed");
    else if (status === "stopped") for (const { spec } of left) this.#follow(spec.id, "stopped");
    else if (state.failed === 0)
      this.#fail({
        name: "RunFailed",
        message: `the orchestrator ${this.#of.flavor.name} reported that the run ${status}`,
      });
    this.#open = false;
  }

  // --- What the orchestrator is given ---

  #placeholder(): PlaceholderRun {
    const { run, pipeline, orchestratorRunId, trigger, params, metadata } = this.#parts.state;
    const { status } = runStatus(this.#parts.state);
    return {
      id: run,
      pipeline,
      status: status === "running" && this.#requested.size === 0 ? "initializing" : status,
      orchestratorRunId,
      ...(trigger.scheduledFor === undefined ? {} : { scheduledFor: trigger.scheduledFor }),
      params,
      metadata: metadata ?? {},
    };
  }

  #submission(): Json {
    const { state, environment } = this.#parts;
    const shared = { ...environment.shared().env };
    const steps = state.snapshot.steps.filter(({ id }) => state.steps.get(id)?.phase !== "ended");
    const snapshot: Snapshot = { ...state.snapshot, steps };
    const common = { snapshot, stack: this.#of.stack, placeholderRun: this.#placeholder() };
    if (state.snapshot.dynamic !== undefined)
      return { ...common, environment: shared } as unknown as Json;
    const stepEnvironments = Object.fromEntries(
      steps.map(({ id, env }) => [id, environment.own(env).env]),
    );
    return { ...common, baseEnvironment: shared, stepEnvironments } as unknown as Json;
  }
}
