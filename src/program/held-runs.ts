/**
 * The runs of a root that this program holds: it makes and drives them.
 *
 * A run is submitted to the orchestrator that the program calls, whichever its pipeline names. What
 * differs from the run's header is a line of its ledger (`submit.given`), so that the run is the
 * same if the next daemon has to go on with it. A live instance ends with its program: the line
 * names it without code, and the next daemon says that it is not there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalHash } from "../core/canonical-json.ts";
import { defined } from "../core/defined.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { RunState } from "../core/run-state.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Json, OrchestratorRef } from "../core/snapshot.ts";
import type { FoundPipeline } from "../engine/find-pipeline.ts";
import type { HeldRoot, LoadOptions } from "../engine/held-root.ts";
import type { HeldRun } from "../engine/held-run.ts";
import type { SubmissionGiven } from "../engine/ports.ts";
import {
  overriddenBy,
  refusalOf,
  SubmissionRefused,
  type Flavor,
} from "../orchestrators/flavors.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import { LocalOrchestrator } from "../orchestrators/local-orchestrator.ts";
import { ownMethod } from "../orchestrators/program-runs.ts";
import type {
  FetchedStatus,
  PlaceholderRun,
  SubmissionResult,
} from "../orchestrators/submission.ts";
import { placeholderOf } from "../run/delegated-submission.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { orchestratorFailure } from "../views/stop-answer.ts";
import { LiveSubmission } from "./live-submission.ts";
import { NamedOrchestrator } from "./named-orchestrator.ts";
import type { PlaceholderOptions } from "./root.ts";
import type { ProgramSubmission, RootRuns } from "./root-runs.ts";

/** How often a run is looked at whose class is in a runner, in milliseconds. */
const LOOK_MS = 20;
const BECAUSE = "asked for by a program that holds the root";
/** How large what is given with a submission may be, in bytes of JSON: it is a ledger's line. */
const MOST_GIVEN_BYTES = 65_536;
const LOCAL: OrchestratorRef = { flavor: "local", config: {} };

/** The orchestrator that a run is submitted to. */
interface Chosen {
  readonly ref: OrchestratorRef;
  readonly flavor: Flavor;
  readonly live?: LiveSubmission;
}

/** Makes and drives runs in this process. */
export class HeldRuns implements RootRuns {
  readonly #held: HeldRoot;
  /** The live instances that say how their runs stand, by run; while the runs have not ended. */
  readonly #telling = new Map<string, LiveSubmission>();

  constructor(held: HeldRoot) {
    this.#held = held;
  }

  get settings(): OrchdSettings {
    return this.#held.settings;
  }

  find(name: string): Promise<FoundPipeline> {
    return this.#held.find(name);
  }

  load(path: string, options?: LoadOptions): Promise<LoadResult> {
    return this.#held.load(path, options);
  }

  flavor(ref: OrchestratorRef): Promise<Flavor> {
    return this.#held.flavor(ref);
  }

  async placeholder(
    loaded: LoadedPipeline,
    { params, noCache }: PlaceholderOptions,
  ): Promise<PlaceholderRun> {
    const order = { params, noCache, because: BECAUSE, placeholder: true };
    const made = await this.#held.reserve(loaded, order);
    if (!made.ok) throw new Error(made.reason);
    return placeholderOf(made.run.state, false);
  }

  async submit(id: string, submission: ProgramSubmission): Promise<SubmissionResult> {
    const run = this.#unfinished(id);
    const { snapshot } = run.state;
    checkWaiting(run);
    const chosen = await this.#choose(run, submission);
    const fault = refusalOf(chosen.flavor, snapshot, false);
    if (fault !== undefined) throw new SubmissionRefused(fault);
    const given = givenOf(run.state, chosen, submission);
    // It may have been submitted or stopped while its orchestrator was asked for.
    checkWaiting(run);
    await run.start("its program submitted it", given, chosen.flavor);
    const ended = async (): Promise<void> => void (await run.finished);
    if (chosen.live === undefined) {
      const metadata = chosen.flavor.ref === undefined ? {} : await acceptedIn(run);
      return { metadata, waitForCompletion: ended };
    }
    if (chosen.flavor.capabilities.reportsStatus) {
      this.#telling.set(id, chosen.live);
      const forget = (): void => void this.#telling.delete(id);
      run.finished.then(forget, forget);
    }
    const over = run.finished.then(() => neverAccepted(run.state));
    const result = await Promise.race([chosen.live.accepted, over]);
    const { metadata = {}, waitForCompletion: wait } = result;
    return { metadata, waitForCompletion: async () => (await wait?.(), await ended()) };
  }

  async finished(id: string): Promise<void> {
    await this.#held.run(id)?.finished;
  }

  async elsewhere(run: PlaceholderRun, includeSteps: boolean): Promise<FetchedStatus | undefined> {
    const live = this.#telling.get(run.id);
    if (live === undefined) return undefined;
    // The program's own copy is older than the orchestrator's id and its metadata.
    const held = this.#held.run(run.id);
    const known = held === undefined ? run : placeholderOf(held.state, true);
    const argument = { run: known, includeSteps } as unknown as Json;
    const nothing = (): Promise<Json> => Promise.reject(new Error("fetchStatus only asks."));
    return (await live.call("fetchStatus", argument, nothing, "")) as FetchedStatus;
  }

  async stop(id: string, mode: "graceful" | "force"): Promise<void> {
    const run = this.#unfinished(id);
    const { lastSeq } = run.state;
    const answer = await run.requestStop({ mode, by: "program" });
    if (!answer.accepted) throw new Error(answer.reason);
    const failure = await orchestratorFailure(this.#held.store, id, lastSeq);
    if (failure !== undefined) throw new Error(failure);
  }

  close(mode: "graceful" | "force"): Promise<void> {
    return this.#held.close(mode);
  }

  #unfinished(id: string): HeldRun {
    const run = this.#held.run(id);
    if (run === undefined) throw new Error(`run ${id} has finished already`);
    return run;
  }

  async #choose(
    { id, state }: HeldRun,
    { orchestrator, stack }: ProgramSubmission,
  ): Promise<Chosen> {
    if (orchestrator instanceof NamedOrchestrator) {
      const { ref } = orchestrator;
      const own = state.snapshot.orchestrator;
      // Where its steps run is compiled into them.
      if (ref.place === true && (own.place !== true || own.flavor !== ref.flavor))
        throw new Error(
          `pipeline ${state.pipeline} does not run on ${ref.flavor}: ` +
            `write orchestrator: ${ref.flavor} into it.`,
        );
      return { ref, flavor: await this.flavor(ref) };
    }
    const isLocal =
      orchestrator instanceof LocalOrchestrator &&
      ownMethod(orchestrator, "submitPipeline") === LocalOrchestrator.prototype.submitPipeline;
    if (isLocal) return { ref: LOCAL, flavor: await this.flavor(LOCAL) };
    checkMethods(orchestrator);
    const { flavor: name, ...described } = orchestrator.describe();
    if (name === "local")
      throw new Error(
        'the name "local" is taken: let the class extend BaseOrchestrator, ' +
          "with a flavor of its own.",
      );
    const live = new LiveSubmission(orchestrator, { id, pipeline: state.pipeline }, stack);
    const config = jsonOf(orchestrator.config) as OrchestratorRef["config"];
    return { ref: { flavor: name, config }, flavor: { name, ...described, live }, live };
  }
}

/** @throws Error if the run does not wait for its submission any more */
function checkWaiting({ id, state, isStarted }: HeldRun): void {
  if (isStarted) throw new Error(`run ${id} was submitted already`);
  if (state.stop !== undefined) throw new Error(`run ${id} was stopped`);
}

/** @throws Error if the class has not what each orchestrator needs; only the compiler says so */
function checkMethods(orchestrator: BaseOrchestrator): void {
  const needed = { submitPipeline: ownMethod(orchestrator, "submitPipeline") as unknown };
  const { getOrchestratorRunId } = orchestrator as { getOrchestratorRunId?: unknown };
  for (const [name, method] of Object.entries({ ...needed, getOrchestratorRunId }))
    if (typeof method !== "function")
      throw new Error(
        `the orchestrator ${orchestrator.name} has no ${name}, which every orchestrator needs.`,
      );
}

/**
 * The metadata of a class in a runner, once it has accepted its run.
 *
 * @throws Error with what the class threw
 */
async function acceptedIn(run: HeldRun): Promise<NonNullable<SubmissionResult["metadata"]>> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  run.finished.then(over, over);
  while (!isOver && !["accepted", "failed"].includes(run.state.submission)) await sleep(LOOK_MS);
  return neverAccepted(run.state).metadata ?? run.state.metadata ?? {};
}

/**
 * The result of a run that ended before its orchestrator accepted it. Where the cache answers every
 * step, the orchestrator is never called.
 *
 * @throws Error where it was called
 */
function neverAccepted({ run, submission, ...rest }: RunState): SubmissionResult {
  if (submission === "none" || submission === "accepted") return {};
  const { submissionError, finished } = rest;
  const ended = `run ${run} ended before its orchestrator had accepted it: ${finished?.because}`;
  throw new Error(submissionError?.message ?? ended);
}

/** What the ledger has to say of a submission; undefined if it is what the header says. */
function givenOf(
  { snapshot, orchestratorHooks: hooks }: RunState,
  { ref, flavor }: Chosen,
  { baseEnvironment, stackEnvironment, stepEnvironments }: ProgramSubmission,
): SubmissionGiven | undefined {
  const ids = snapshot.steps.map((step) => step.id);
  const unknown = Object.keys(stepEnvironments).find((step) => !ids.includes(step));
  if (unknown !== undefined)
    throw new Error(
      `stepEnvironments names ${JSON.stringify(unknown)}, and pipeline ${snapshot.name} has no ` +
        `such step${didYouMean(unknown, ids)}`,
    );
  const differs = (one: unknown, other: unknown): boolean =>
    canonicalHash(one) !== canonicalHash(other);
  const isEmpty = (given: object): boolean => Object.keys(given).length === 0;
  const given = defined({
    type: "submit.given",
    orchestrator: differs(ref, snapshot.orchestrator) ? ref : undefined,
    baseEnvironment: isEmpty(baseEnvironment) ? undefined : baseEnvironment,
    stackEnvironment: differs(stackEnvironment, snapshot.stackEnv ?? {})
      ? stackEnvironment
      : undefined,
    stepEnvironments: isEmpty(stepEnvironments) ? undefined : stepEnvironments,
    orchestratorHooks: differs(overriddenBy(flavor), hooks) ? overriddenBy(flavor) : undefined,
  });
  if (Object.keys(given).length === 1) return undefined;
  if (JSON.stringify(given).length > MOST_GIVEN_BYTES)
    throw new Error("what is given with the submission is larger than 64 KiB: use a file.");
  return given;
}

/** A config as JSON, without what JSON cannot hold. */
function jsonOf(config: unknown): Json {
  return JSON.parse(JSON.stringify(config ?? {})) as Json;
}
