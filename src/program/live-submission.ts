/**
 * The submission of one run to an orchestrator that the program holds: an instance in this process.
 *
 * The run-loop calls it as it calls a class in a runner, so what a run elsewhere means is written
 * once. What the instance asks meanwhile (`runStep`) finds its run by the async context of the
 * call: several submissions may run at once, and one instance may have several.
 */
import type { Json } from "../core/snapshot.ts";
import { metadataFault, STACK_SYMBOL, StoredOutputs } from "../core/task.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { LiveOrchestrator } from "../orchestrators/flavors.ts";
import { ownMethod, type ProgramMethod } from "../orchestrators/program-runs.ts";
import type { Stack } from "../orchestrators/stack.ts";
import type { SubmissionResult } from "../orchestrators/submission.ts";
import type { TaskHandlers } from "../places/place.ts";
import { callFlavor, type FlavorClass, type Methods } from "../steps/flavor-host.ts";
import { valuesIn } from "../steps/task-values.ts";

type Ask = NonNullable<TaskHandlers["call"]>;
type Run = { readonly id: string; readonly pipeline: string };

/** The part of a submission's result that the caller is given. */
type Result = Pick<SubmissionResult, "metadata" | "waitForCompletion">;

/** Calls one instance for one run. */
export class LiveSubmission implements LiveOrchestrator {
  /**
   * Resolves once the ledger says that the instance has accepted the run. Rejects with what the
   * instance threw.
   */
  readonly accepted: Promise<Result>;
  readonly #instance: BaseOrchestrator;
  readonly #run: Run;
  readonly #stack: Stack | undefined;
  #accept!: (result: Result) => void;
  #refuse!: (error: unknown) => void;
  #result: Result = {};

  constructor(instance: BaseOrchestrator, run: Run, stack: Stack | undefined) {
    this.#instance = instance;
    this.#run = run;
    this.#stack = stack;
    this.accepted = new Promise((resolve, reject) => {
      this.#accept = resolve;
      this.#refuse = reject;
    });
    this.accepted.catch(() => undefined);
  }

  async call(method: string, argument: Json, ask: Ask, artifacts: string): Promise<Json> {
    const answered = async (name: string, given: Json): Promise<Json> => {
      const fault = name === "accepted" ? metadataFault(JSON.stringify(given).length) : undefined;
      if (fault !== undefined) throw new Error(fault);
      const answer = await ask(name, given);
      if (name === "accepted") this.#accept(this.#result);
      return answer instanceof StoredOutputs
        ? valuesIn(artifacts).allOutputs(answer.outputs)
        : answer;
    };
    const flavor = {
      type: this.#instance.constructor as unknown as FlavorClass,
      instance: () => this.#methods(),
      identified: (own: () => string) => named(this.#run, own),
    };
    // In a runner the instance has a copy: nothing that it does to it reaches the run.
    const given = structuredClone(argument);
    const value = await callFlavor(flavor, method as ProgramMethod, given, answered);
    return JSON.parse(JSON.stringify(value ?? null)) as Json;
  }

  /** What stands for the instance: its class's own methods, and the stack that it was given. */
  #methods(): Methods {
    const instance = this.#instance;
    const own = async (name: ProgramMethod, [one, two]: unknown[]): Promise<unknown> =>
      ownMethod(instance, name).call(instance, one, two);
    return {
      getOrchestratorRunId: () => named(this.#run, () => instance.getOrchestratorRunId()),
      submitPipeline: (...given) => this.#submit(() => own("submitPipeline", given)),
      submitDynamicPipeline: (...given) => this.#submit(() => own("submitDynamicPipeline", given)),
      fetchStatus: (...given) => own("fetchStatus", given),
      stopRun: (...given) => own("stopRun", given),
      [STACK_SYMBOL]: (name: unknown) => this.#stack ?? instance[STACK_SYMBOL](String(name)),
    };
  }

  async #submit(submit: () => Promise<unknown>): Promise<Result> {
    let given: SubmissionResult;
    try {
      given = (await submit()) ?? {};
    } catch (error) {
      this.#refuse(error);
      throw error;
    }
    const { metadata, waitForCompletion: wait } = given;
    if (typeof wait !== "function") return (this.#result = { metadata });
    // The run-loop waits, and so may the program: the instance is asked once.
    let waited: Promise<void> | undefined;
    const waitForCompletion = (): Promise<void> => (waited ??= wait.call(given));
    return (this.#result = { metadata, waitForCompletion });
  }
}

/** Asks for something while the environment says which run it is for. `ask` is synchronous. */
function named<T>({ id, pipeline }: Run, ask: () => T): T {
  const own = { ORCHD_RUN_ID: id, ORCHD_PIPELINE: pipeline };
  const before = Object.keys(own).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, own);
  try {
    return ask();
  } finally {
    for (const [name, value] of before)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  }
}
