/**
 * A run that a user's orchestrator drives. Its code runs in a runner and asks for steps by
 * `runStep`. A step that it asks for runs like any other, with its cache, retries and hooks. A step
 * that it does not ask for does not run.
 *
 * States: asked (`submit.started`) -> accepted (`submit.accepted`) -> ended (its task has ended
 * and, where it reports by `fetchStatus`, the run is over there too). After a crash in the state
 * asked nobody knows whether the orchestrator has the run: `fetchStatus` decides, or `resubmits`;
 * otherwise the run fails with `submission unknown` (docs/semantics.md 22). The planner learns all
 * this from {@link Delegation.facts}.
 */
import { defined } from "../core/defined.ts";
import { FAILURE_CODES, clipError, toStepError, type StepError } from "../core/failure.ts";
import { isHalted, type PlanFacts } from "../core/plan.ts";
import { allEnded } from "../core/run-status.ts";
import type { Json } from "../core/snapshot.ts";
import type { FinalRunStatus } from "../core/status.ts";
import { WAIT_CODE, type StoredOutputs, type TaskResult } from "../core/task.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { PlaceholderRun } from "../orchestrators/submission.ts";
import type { CachePrepass } from "./cache-prepass.ts";
import { placeholderOf, submissionOf, type SubmissionArgument } from "./delegated-submission.ts";
import type { DynamicCalls } from "./dynamic-calls.ts";
import { flavorCalls, type FlavorCalls } from "./flavor-calls.ts";
import type { HookRuns } from "./hook-runs.ts";
import { RunElsewhere } from "./run-elsewhere.ts";
import type { RunParts } from "./run-parts.ts";

/** How much of an orchestrator's own run id is kept, in UTF-16 code units. */
const RUN_ID_CHARACTERS = 1_000;

/** What a delegation needs besides its run. */
export interface DelegationParts {
  readonly flavor: Flavor;
  readonly hooks: HookRuns;
  /** A dynamic pipeline's function. */
  readonly calls?: DynamicCalls | undefined;
}

/** Drives one run by a user's orchestrator. */
export class Delegation {
  /** The orchestrator has asked for the pipeline's function to be run. */
  runsFunction = false;
  readonly #parts: RunParts;
  readonly #of: DelegationParts;
  readonly #tasks: FlavorCalls;
  readonly #elsewhere: RunElsewhere;
  readonly #requested = new Set<string>();
  /** It may still ask for steps. */
  #open = true;
  #over = false;
  /** The task of the submission, while it runs. */
  #submitting: string | undefined;
  /** It has told its own id of the run: the environments of the submission have it. */
  #identified = false;
  /** The cache is asked before it. */
  #asksCache = false;
  /** It calls the init hook itself, and has asked for nothing that must come after that. */
  #callsInit: boolean;
  /** It gave a `waitForCompletion`. */
  #waits = false;

  constructor(parts: RunParts, of: DelegationParts) {
    this.#parts = parts;
    this.#of = of;
    this.#callsInit = of.flavor.hooks?.callsInit === true;
    this.#tasks = flavorCalls(parts, of.flavor, (name, given) => this.#call(name, given));
    this.#elsewhere = new RunElsewhere(parts, {
      tasks: this.#tasks,
      flavor: of.flavor.name,
      requested: this.#requested,
      placeholder: () => this.#placeholder(),
      settled: () => this.#close(),
      unknown: () => (of.flavor.capabilities.resubmits ? this.#submit() : this.#unknown()),
      ended: (status) => this.#endAsElsewhere(status),
    });
  }

  /** For the planner. Undefined for a dynamic pipeline: its function says which steps there are. */
  get facts(): NonNullable<PlanFacts["delegated"]> | undefined {
    return this.#of.calls === undefined
      ? { requested: this.#requested, open: this.#open }
      : undefined;
  }

  /** Whether the init hook waits. */
  get holdsInit(): boolean {
    return this.#asksCache || (this.#callsInit && this.#open);
  }

  /** Hands the run over, without the steps that the cache answers. */
  begin(prepass: CachePrepass): void {
    if (!prepass.isAllowed) return this.#submitOnceSetUp();
    const { state } = this.#parts;
    this.#asksCache = true;
    prepass.run(() => {
      this.#asksCache = false;
      const nothingLeft =
        state.stop !== undefined || state.finished !== undefined || allEnded(state);
      if (nothingLeft) this.#skip();
      else this.#submitOnceSetUp();
    });
  }

  /** Goes on with a run that an earlier daemon handed over. */
  resume(): void {
    const { submission, stop } = this.#parts.state;
    if (submission === "failed" || stop !== undefined || allEnded(this.#parts.state))
      return this.#skip();
    const { capabilities } = this.#of.flavor;
    if (submission === "none") return this.#submitOnceSetUp();
    if (capabilities.reportsStatus) return this.#elsewhere.ask(true);
    if (capabilities.resubmits) return this.#submitOnceSetUp();
    this.#unknown();
  }

  /**
   * Passes a stop on, for what the orchestrator started by itself. The planner stops the steps that
   * run through `runStep`.
   */
  stopRun(graceful: boolean): void {
    const { state, journal } = this.#parts;
    if (state.submission === "none" || state.submission === "failed") return;
    journal.afterwards(() => {
      this.#tasks.start({
        method: "stopRun",
        argument: { run: this.#placeholder() as unknown as Json, graceful },
        done: (result) => {
          if (!result.ok)
            this.#warn(
              `the orchestrator ${this.#of.flavor.name} could not stop the run: ` +
                result.error.message,
            );
        },
      });
    });
  }

  /** The run is no longer driven: the orchestrator is ended, and nothing it says counts. */
  end(): void {
    this.#over = true;
    this.#tasks.end();
    this.#elsewhere.end();
    if (this.#submitting !== undefined)
      this.#parts.deps.place.stop(this.#submitting, "force", "the run is no longer driven");
  }

  /** Nothing is left for the orchestrator to do. */
  #skip(): void {
    this.#open = false;
  }

  /** Calls the orchestrator after the init hook, unless it calls that itself. */
  #submitOnceSetUp(): void {
    const { state, arrive } = this.#parts;
    if (state.init !== "owed" || this.#callsInit) return this.#submit();
    void this.#of.hooks.ended("init").then(() =>
      arrive(() => {
        if (this.#over) return;
        if (isHalted(state) || allEnded(state)) this.#skip();
        else this.#submit();
      }),
    );
  }

  /** Calls the orchestrator. */
  #submit(alone = false): void {
    const { emit, state, journal } = this.#parts;
    emit({ type: "submit.started", because: `handed to the orchestrator ${this.#of.flavor.name}` });
    let submission: SubmissionArgument;
    try {
      submission = submissionOf(this.#parts, this.#of.flavor.name, this.#placeholder());
    } catch (error) {
      return this.#fail(toStepError(error));
    }
    const method =
      state.snapshot.dynamic === undefined ? "submitPipeline" : "submitDynamicPipeline";
    journal.afterwards(() => {
      this.#submitting = this.#tasks.start({
        method,
        ...submission,
        alone,
        done: (result) => this.#submitted(result),
        lost: this.#of.flavor.capabilities.resubmits ? () => this.#submit(true) : undefined,
      });
    });
  }

  #call(method: string, argument: Json): Promise<Json | StoredOutputs> {
    const { arrive } = this.#parts;
    if (method === "runStep")
      return this.#runStep(argument as { step: string; orchestratorRunId?: string });
    if (method === "identify") return this.#askedToIdentify(argument as string);
    if (method === "accepted")
      return new Promise((resolve) =>
        arrive(() => this.#accepted(argument as Record<string, Json>, () => resolve(null))),
      );
    if (method === "runFunction") return this.#runFunction();
    if (method === "runInitHook") return this.#of.hooks.ask("init");
    if (method === "runCleanupHook") return this.#of.hooks.ask("cleanup");
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
      this.#callsInit = false;
      this.#identify(orchestratorRunId);
      if (known.phase === "ended") journal.afterwards(() => waiters.settle(step));
      else this.#requested.add(step);
    });
    return ended.then(() => null);
  }

  /** The orchestrator names its run before it is given it. Answers the id that is in force. */
  #askedToIdentify(orchestratorRunId: string): Promise<Json> {
    const { arrive, journal, state } = this.#parts;
    return new Promise((resolve) =>
      arrive(() => {
        if (!this.#over) this.#identify(orchestratorRunId);
        journal.afterwards(() => resolve(state.orchestratorRunId));
      }),
    );
  }

  /** Records the orchestrator's own run id before the first step: all steps must see the same. */
  #identify(orchestratorRunId: string | undefined): void {
    const { state, emit } = this.#parts;
    if (orchestratorRunId === undefined || !this.#mayIdentify() || state.submission !== "started")
      return;
    this.#identified = true;
    const named = orchestratorRunId.slice(0, RUN_ID_CHARACTERS);
    if (named !== state.orchestratorRunId)
      emit({ type: "submit.identified", orchestratorRunId: named });
  }

  /** Whether nobody has been given an id of the run yet: neither the orchestrator nor a step. */
  #mayIdentify(): boolean {
    if (this.#identified || this.#requested.size > 0 || this.runsFunction) return false;
    return ![...this.#parts.state.steps.values()].some(({ attempts }) => attempts.length > 0);
  }

  #runFunction(): Promise<Json> {
    const { calls } = this.#of;
    if (calls === undefined)
      return Promise.reject(
        new Error("the pipeline is not a dynamic one: it has no function to run"),
      );
    const ended = calls.ended();
    this.#parts.arrive(() => {
      this.#callsInit = false;
      this.runsFunction = true;
    });
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
    this.#callsInit = false;
    if (this.#over || state.finished !== undefined) return recorded();
    const named =
      typeof orchestratorRunId === "string" && orchestratorRunId !== ""
        ? orchestratorRunId.slice(0, RUN_ID_CHARACTERS)
        : undefined;
    const id = this.#mayIdentify() ? named : state.orchestratorRunId;
    emitWhole(
      defined({
        type: "submit.accepted",
        orchestratorRunId: id,
        metadata: (metadata ?? {}) as { [name: string]: Json },
      }),
      () => {
        journal.afterwards(recorded);
        return !this.#over && state.finished === undefined;
      },
      (error) => this.#fail(toStepError(error)),
    );
  }

  /** The orchestrator's task has ended: it returned, and what it waited for came. */
  #submitted(result: TaskResult): void {
    this.#submitting = undefined;
    this.#callsInit = false;
    const { state, emit } = this.#parts;
    if (state.finished !== undefined) return;
    const waitFailed = !result.ok && result.error.code === WAIT_CODE;
    if (waitFailed) this.#warn(`waiting for the run's end failed: ${result.error.message}`);
    else if (!result.ok) return this.#refused(result.error);
    else if (state.submission !== "accepted") emit({ type: "submit.accepted", metadata: {} });
    if (this.#of.flavor.capabilities.reportsStatus && !allEnded(state))
      return this.#elsewhere.ask(false);
    // orchd was asked for no step, so the steps ran elsewhere, and the end of the wait is all that
    // is known of them. An error of waiting says nothing of them, and must not make the run fail.
    if (this.#waits && this.#requested.size === 0 && this.#of.calls === undefined)
      return waitFailed ? this.#skip() : this.#endAsElsewhere("completed");
    this.#close();
  }

  #refused(error: StepError): void {
    const { state } = this.#parts;
    // An orchestrator that passes on the error of a failed step has not refused the run: the step's
    // failure is the run's.
    const passedOn =
      state.failed > 0 ||
      state.stop !== undefined ||
      state.timedOut !== undefined ||
      state.functionError !== undefined ||
      state.init === "failed";
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
      message:
        `submission unknown: the daemon ended while the orchestrator ${this.#of.flavor.name} ` +
        "had the run, and it tells nothing by fetchStatus; let it declare resubmits if it may be " +
        "asked again",
      code: FAILURE_CODES.submission,
    });
  }

  /** The orchestrator asks for nothing more. What it has not asked for does not run. */
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

  /** The run is over elsewhere: what is not known of its steps is recorded by its status. */
  #endAsElsewhere(status: FinalRunStatus): void {
    const error = this.#elsewhere.recordEnd(status);
    if (error !== undefined) this.#fail(error);
    this.#open = false;
  }

  #placeholder(): PlaceholderRun {
    return placeholderOf(this.#parts.state, this.#requested.size > 0);
  }
}
