/**
 * A run that a user's orchestrator drives. Its code runs in a runner and asks for steps by
 * `runStep`. A step that it asks for runs like any other, with its cache, retries and hooks. A step
 * that it does not ask for does not run.
 *
 * A step that the orchestrator retries itself (`handlesStepRetries`) is asked for again for each
 * attempt: a `runStep` rejects with what its own attempt threw, and a step whose attempt failed
 * waits until it is asked for again, or until nobody can ask any more. A stop of what the
 * orchestrator started itself is stop-elsewhere.ts, what it asks of orchd is orchestrator-calls.ts,
 * and how the submission ends is submission-end.ts.
 *
 * States: asked (`submit.started`) -> accepted (`submit.accepted`) -> ended (its task has ended
 * and, where it reports by `fetchStatus`, the run is over there too). After a crash in the state
 * asked nobody knows whether the orchestrator has the run: `fetchStatus` decides, or `resubmits`;
 * otherwise the run fails with `submission unknown` (docs/semantics.md 22). The function of a
 * dynamic pipeline runs here whatever the orchestrator is, so where that knows the run the function
 * runs again at once. The planner learns all this from {@link Delegation.facts}.
 */
import { defined } from "../core/defined.ts";
import { toStepError } from "../core/failure.ts";
import { isHalted, stopModeOf } from "../core/halt.ts";
import type { PlanFacts } from "../core/plan.ts";
import { allEnded } from "../core/run-status.ts";
import type { FinalRunStatus, Status } from "../core/status.ts";
import { WAIT_CODE, type TaskResult } from "../core/task.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { RETRY_MS } from "../disk/until-room.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { PlaceholderRun } from "../orchestrators/submission.ts";
import { AskedSteps } from "./asked-steps.ts";
import type { CachePrepass } from "./cache-prepass.ts";
import { placeholderOf, submissionOf, type SubmissionArgument } from "./delegated-submission.ts";
import type { DynamicCalls } from "./dynamic-calls.ts";
import { flavorCalls, type FlavorCalls } from "./flavor-calls.ts";
import type { HookRuns } from "./hook-runs.ts";
import { OrchestratorCalls } from "./orchestrator-calls.ts";
import { RunElsewhere } from "./run-elsewhere.ts";
import type { RunParts } from "./run-parts.ts";
import type { RetriedBy } from "./step-runs.ts";
import { StopElsewhere } from "./stop-elsewhere.ts";
import { SubmissionEnd } from "./submission-end.ts";

/** What a delegation needs besides its run. */
export interface DelegationParts {
  readonly flavor: Flavor;
  readonly hooks: HookRuns;
  /** A dynamic pipeline's function. */
  readonly calls?: DynamicCalls | undefined;
}

/** Drives one run by a user's orchestrator. */
export class Delegation {
  readonly #parts: RunParts;
  readonly #of: DelegationParts;
  readonly #tasks: FlavorCalls;
  readonly #elsewhere: RunElsewhere;
  readonly #stop: StopElsewhere;
  readonly #asked: AskedSteps;
  readonly #asks: OrchestratorCalls;
  readonly #ending: SubmissionEnd;
  #over = false;
  /** The task of the submission, while it runs. */
  #submitting: string | undefined;
  /** The cache is asked before it. */
  #asksCache = false;

  constructor(parts: RunParts, of: DelegationParts) {
    this.#parts = parts;
    this.#of = of;
    const { reportsStatus, handlesStepRetries } = of.flavor.capabilities;
    this.#asked = new AskedSteps(parts, handlesStepRetries && of.calls === undefined);
    this.#asks = new OrchestratorCalls(parts, {
      asked: this.#asked,
      hooks: of.hooks,
      calls: of.calls,
      callsInit: of.flavor.hooks?.callsInit === true,
      isOver: () => this.#over,
      accepted: () => this.#stop.forget(),
      failed: (error) => this.#ending.fail(error),
    });
    this.#ending = new SubmissionEnd(parts, {
      flavor: of.flavor.name,
      asked: this.#asked,
      calls: of.calls,
      runsFunction: () => this.runsFunction,
    });
    this.#tasks = flavorCalls(parts, of.flavor, (name, given) => this.#asks.carryOut(name, given));
    this.#elsewhere = new RunElsewhere(parts, {
      tasks: this.#tasks,
      flavor: of.flavor.name,
      requested: this.#asked.steps,
      placeholder: () => this.#placeholder(),
      settled: () => this.#ending.close(),
      unknown: (first) => this.#unknownElsewhere(first),
      known: () => this.#stop.fetched(true),
      ended: (status) => this.#endAsElsewhere(status),
      warn: (when, error) => this.#ending.warn(when, error),
      dynamic: of.calls === undefined ? undefined : (status) => this.#knownDynamic(status),
    });
    this.#stop = new StopElsewhere(parts, {
      tasks: this.#tasks,
      status: reportsStatus ? this.#elsewhere : undefined,
      flavor: of.flavor.name,
      placeholder: () => this.#placeholder(),
      isElsewhere: () => this.#isElsewhere,
      submitting: () => this.#submitting,
      ended: (status) => this.#stoppedElsewhere(status),
    });
  }

  /** The orchestrator has asked for the pipeline's function to be run. */
  get runsFunction(): boolean {
    return this.#asks.runsFunction;
  }

  /** For the planner. */
  get facts(): NonNullable<PlanFacts["delegated"]> {
    return defined({
      requested: this.#of.calls === undefined ? this.#asked.steps : undefined,
      open: this.#ending.isOpen,
      again: this.#asked.again,
      stopRun: this.#of.flavor.hasStopRun && this.#isGiven ? this.#stop.facts : undefined,
    });
  }

  /** Who starts the attempt after one that failed. */
  get retriedBy(): RetriedBy {
    if (this.#asked.again === undefined) return "orchd";
    return this.#ending.isOpen ? "orchestrator" : "nobody";
  }

  /** Whether nothing is under way that the daemon's end waits for. */
  get idle(): boolean {
    return this.#stop.idle;
  }

  /**
   * Whether nobody could stop what the orchestrator does with the run. It has no `stopRun`, and did
   * not ask orchd for the steps. A submission that was not accepted yet can be ended.
   */
  get cannotStop(): boolean {
    const { flavor, calls } = this.#of;
    const { state } = this.#parts;
    if (flavor.hasStopRun || flavor.declaresStop || calls !== undefined) return false;
    if (state.submission !== "accepted") return false;
    for (const id of state.running) if (state.steps.get(id)!.elsewhere === true) return true;
    return this.#asked.steps.size === 0 && !allEnded(state);
  }

  /** The orchestrator was given the run. */
  get #isGiven(): boolean {
    const { submission } = this.#parts.state;
    return submission === "started" || submission === "accepted";
  }

  /** Steps that orchd was not asked for may run where the orchestrator is, and it can stop them. */
  get #isElsewhere(): boolean {
    return (
      this.#ending.isOpen &&
      this.#isGiven &&
      this.#of.flavor.hasStopRun &&
      this.#of.calls === undefined
    );
  }

  /** Stops what the orchestrator started itself. The planner stops the steps of `runStep`. */
  stopElsewhere(mode: "graceful" | "force"): void {
    this.#stop.tell(mode);
  }

  /** The same stop was asked for again. */
  tellAgain(): void {
    this.#stop.forget();
  }

  /** A step's failure stands. */
  giveUp(step: string): void {
    this.#asked.giveUp(step);
  }

  /** The time of the drain is up: `stopRun` is called again by the next daemon. */
  abandon(): void {
    this.#stop.end();
  }

  /** Whether the init hook waits. */
  get holdsInit(): boolean {
    return this.#asksCache || (this.#asks.callsInit && this.#ending.isOpen);
  }

  /** Hands the run over, without the steps that the cache answers. */
  begin(prepass: CachePrepass): void {
    if (!prepass.isAllowed) return this.#submitOnceSetUp();
    const { state } = this.#parts;
    this.#asksCache = true;
    prepass.run(() => {
      this.#asksCache = false;
      const nothingLeft = isHalted(state) || state.finished !== undefined || allEnded(state);
      if (nothingLeft) this.#ending.skip();
      else this.#submitOnceSetUp();
    });
  }

  /** Goes on with a run that an earlier daemon handed over. */
  resume(): void {
    const { state } = this.#parts;
    const { submission } = state;
    const { capabilities, hasStopRun } = this.#of.flavor;
    const isStopping = state.stop !== undefined || state.timedOut !== undefined;
    if (submission === "failed" || allEnded(state)) return this.#ending.skip();
    // The planner calls `stopRun` again, and its answer decides.
    if (isStopping && (submission === "none" || !hasStopRun || this.#of.calls !== undefined))
      return this.#ending.skip();
    if (isStopping) return this.#stop.settle();
    if (submission === "none") return this.#submitOnceSetUp();
    if (capabilities.reportsStatus) return this.#elsewhere.ask(true);
    if (capabilities.resubmits) return this.#submitOnceSetUp();
    this.#ending.unknown();
  }

  /** The run is no longer driven: the orchestrator is ended, and nothing it says counts. */
  end(): void {
    this.#over = true;
    this.#tasks.end();
    this.#elsewhere.end();
    this.#stop.end();
    if (this.#submitting !== undefined)
      this.#parts.deps.place.stop(this.#submitting, "force", "the run is no longer driven");
  }

  /** Calls the orchestrator after the init hook, unless it calls that itself. */
  #submitOnceSetUp(): void {
    const { state, arrive } = this.#parts;
    if (state.init !== "owed" || this.#asks.callsInit) return this.#submit();
    void this.#of.hooks.ended("init").then(() =>
      arrive(() => {
        if (this.#over) return;
        if (isHalted(state) || allEnded(state)) this.#ending.skip();
        else this.#submit();
      }),
    );
  }

  /** Calls the orchestrator. */
  #submit(alone = false): void {
    const { emit, state, journal } = this.#parts;
    const { name } = this.#of.flavor;
    const started = {
      type: "submit.started",
      because: `handed to the orchestrator ${name}`,
    } as const;
    let submission: SubmissionArgument;
    try {
      submission = submissionOf(this.#parts, name, this.#placeholder());
    } catch (error) {
      // Nobody is at fault: it is handed over when its secrets can be read.
      if (lacksDescriptor(error)) return this.#submitLater(alone);
      emit(started);
      return this.#ending.fail(toStepError(error));
    }
    emit(started);
    const method =
      state.snapshot.dynamic === undefined ? "submitPipeline" : "submitDynamicPipeline";
    journal.afterwards(() => {
      this.#submitting = this.#tasks.start({
        method,
        ...submission,
        alone,
        done: (result) => this.#submitted(result),
        lost: this.#of.flavor.capabilities.resubmits ? (death) => this.#lost(death) : undefined,
      });
    });
  }

  #submitLater(alone: boolean): void {
    const { state, arrive, deps } = this.#parts;
    const again = (): void => {
      if (this.#over) return;
      if (!isHalted(state) && !allEnded(state)) return this.#submit(alone);
      // An earlier submission may be under way over there.
      if (this.#isGiven) this.resume();
      else this.#ending.skip();
    };
    deps.clock.after(RETRY_MS, () => arrive(again));
  }

  /** The runner that had the submission died, and may not have been to blame. */
  #lost(death: TaskResult): void {
    if (stopModeOf(this.#parts.state) === undefined) this.#submit(true);
    else this.#submitted(death);
  }

  /** The orchestrator's task has ended: it returned, and what it waited for came. */
  #submitted(result: TaskResult): void {
    this.#submitting = undefined;
    this.#asks.pastInit();
    const { state, emit } = this.#parts;
    if (state.finished !== undefined) return;
    this.#asked.noMore();
    const { reportsStatus } = this.#of.flavor.capabilities;
    const waitFailed = !result.ok && result.error.code === WAIT_CODE;
    const waitLost = !result.ok && !waitFailed && this.#isWaitLost;
    if (!result.ok && !waitFailed && !waitLost) return this.#ending.refused(result.error);
    if (!result.ok && (waitFailed || stopModeOf(state) === undefined))
      this.#ending.warn("waiting for the run's end failed", result.error);
    else if (state.submission !== "accepted") emit({ type: "submit.accepted", metadata: {} });
    if (stopModeOf(state) !== undefined && this.#isElsewhere)
      return this.#stop.waited(result.ok ? "well" : waitFailed ? "badly" : undefined);
    if (reportsStatus && this.#of.calls === undefined && !allEnded(state))
      return this.#elsewhere.ask(false);
    // orchd was asked for no step, so the steps ran elsewhere, and the end of the wait is all that
    // is known of them. An error of waiting says nothing of them, and must not make the run fail.
    if (this.#asks.waits && this.#asked.steps.size === 0 && this.#of.calls === undefined)
      return result.ok ? this.#endAsElsewhere("completed") : this.#ending.skip();
    this.#ending.close();
  }

  /**
   * Its runner died after it had accepted the run, or it was ended: only waiting has ended. What is
   * known of the steps decides, as after a wait that threw.
   */
  get #isWaitLost(): boolean {
    const { state } = this.#parts;
    if (state.submission !== "accepted") return false;
    return stopModeOf(state) === undefined || this.#isElsewhere;
  }

  /** `fetchStatus` does not know the run. @returns whether it need not be asked again */
  #unknownElsewhere(first: boolean): boolean {
    if (stopModeOf(this.#parts.state) !== undefined && this.#isElsewhere) {
      this.#stop.fetched(false);
      return !this.#ending.isOpen;
    }
    if (!first) return false;
    if (this.#of.flavor.capabilities.resubmits) this.#submit();
    else this.#ending.unknown();
    return true;
  }

  /**
   * `fetchStatus` knows the run of a dynamic pipeline. Its function ran here, under an earlier
   * daemon, and goes on here; the submission that waited for it is gone.
   *
   * @returns whether it need not be asked again
   */
  #knownDynamic(status: Status): boolean {
    if (status === "stopping") return false;
    const { state, arrive } = this.#parts;
    this.#asks.pastInit();
    if (status === "failed" || status === "stopped")
      this.#ending.fail({
        name: "RunFailed",
        message: `the orchestrator ${this.#of.flavor.name} reported that the run ${status}`,
      });
    else {
      this.#asks.runsFunction = true;
      void this.#of
        .calls!.ended()
        .then(() => arrive(() => void (this.#over || this.#ending.close())));
      if (state.function !== "owed") this.#ending.close();
    }
    return true;
  }

  /** The run was stopped, and its end is known there. */
  #stoppedElsewhere(status: FinalRunStatus): void {
    // It asks orchd for its steps: those that it never asked for ran nowhere.
    if (this.#asked.steps.size > 0 && status === "stopped") this.#ending.close();
    else this.#endAsElsewhere(status);
  }

  /** The run is over elsewhere: what is not known of its steps is recorded by its status. */
  #endAsElsewhere(status: FinalRunStatus): void {
    const error = this.#elsewhere.recordEnd(status);
    if (error !== undefined) this.#ending.fail(error);
    this.#ending.skip();
  }

  #placeholder(): PlaceholderRun {
    return placeholderOf(this.#parts.state, this.#asked.steps.size > 0);
  }
}
