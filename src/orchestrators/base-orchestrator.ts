/**
 * An **orchestrator** says where steps run. (The engine owns many runs; the run-loop drives one.)
 *
 * `BaseOrchestrator` is ZenML's class of that name in TypeScript: docs/zenml.md has a row for each
 * member. A flavor of one's own writes `getOrchestratorRunId` and `submitPipeline`, and declares
 * what else it can do in `capabilities`. An instance lives where user code lives, in a runner
 * process, never in the daemon; what it asks of the daemon goes through the host that the runner
 * puts in place.
 *
 * Not as in ZenML: capabilities are declared data rather than found by comparing methods, an
 * instance keeps no state between runs (each submission gets a new one), and nothing polls.
 */
import type * as z from "zod";
import { didYouMean } from "../core/did-you-mean.ts";
import type { Json, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import type { ExecutionMode } from "../core/status.ts";
import { HOST_SYMBOL } from "../core/task.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import { StackComponent } from "./stack-component.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./submission.ts";

/** What the process around an orchestrator does for it. */
interface OrchestratorHost {
  /** Asks the daemon. Rejects with the error that it answers. */
  call(method: string, argument: Json): Promise<Json>;
}

/**
 * Coordinates the steps of a run (ZenML `BaseOrchestrator`).
 *
 * ```ts
 * import { BaseOrchestrator, z, type PipelineSubmission, type SubmissionResult } from "orchd";
 *
 * const config = z.object({ endpoint: z.url() });
 *
 * export default class MyOrchestrator extends BaseOrchestrator<typeof config> {
 *   static flavor = "mine";
 *   static config = config;
 *
 *   getOrchestratorRunId(): string {
 *     return process.env["ORCHD_RUN_ID"] ?? "";
 *   }
 *
 *   async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
 *     for (const step of snapshot.steps) await this.runStep(step);
 *     return { metadata: { endpoint: this.config.endpoint } };
 *   }
 * }
 * ```
 *
 * @typeParam C the config's zod schema
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see the interface below
export abstract class BaseOrchestrator<C extends z.ZodType = z.ZodType> extends StackComponent<C> {
  readonly type = "orchestrator" as const;

  /**
   * Steps run on another machine. The config may say so with a member or a getter `isRemote`, as in
   * ZenML.
   */
  get isRemote(): boolean {
    return (this.config as { isRemote?: unknown } | undefined)?.isRemote === true;
  }

  /** ZenML `enable_cache`. */
  get enableCache(): boolean {
    return this.#can("enableCache");
  }

  /** ZenML `is_synchronous`. */
  get isSynchronous(): boolean {
    return this.#can("isSynchronous");
  }

  /** ZenML `is_schedulable`. */
  get isSchedulable(): boolean {
    return this.#can("isSchedulable");
  }

  /** ZenML `supports_client_side_caching`. */
  get supportsClientSideCaching(): boolean {
    return this.#can("supportsClientSideCaching");
  }

  /** ZenML `handles_step_retries`. */
  get handlesStepRetries(): boolean {
    return this.#can("handlesStepRetries");
  }

  /** ZenML `supports_dynamic_pipelines`: `submitDynamicPipeline` is implemented. */
  get supportsDynamicPipelines(): boolean {
    return this.submitDynamicPipeline !== BaseOrchestrator.prototype.submitDynamicPipeline;
  }

  /** ZenML `can_run_isolated_steps`. */
  get canRunIsolatedSteps(): boolean {
    return this.#can("canRunIsolatedSteps");
  }

  /** ZenML `supported_execution_modes`. */
  get supportedExecutionModes(): readonly ExecutionMode[] {
    return (
      this.capabilities?.supportedExecutionModes ?? DEFAULT_CAPABILITIES.supportedExecutionModes
    );
  }

  /**
   * The id of the orchestrator's run that this is: the same in every step of a run, another in the
   * next (ZenML `get_orchestrator_run_id`). Steps find it in `ORCHD_ORCHESTRATOR_RUN_ID`. Asked for
   * with the first step that is run, and when the run was taken; `process.env` then holds
   * `ORCHD_RUN_ID`. A flavor that cannot say yet throws or returns an empty text, and the run's own
   * id stands in.
   */
  abstract getOrchestratorRunId(): string;

  /**
   * Submits a pipeline whose steps are known (ZenML `submit_pipeline`). Does not have to wait for
   * its end. A rejection makes a run that has not ended fail.
   */
  abstract submitPipeline(
    submission: PipelineSubmission,
  ): Promise<SubmissionResult | undefined | void>;

  /**
   * Submits a pipeline that decides as it runs (ZenML `submit_dynamic_pipeline`). Default: rejects,
   * since it is not supported.
   */
  submitDynamicPipeline(
    _submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult | undefined | void> {
    return Promise.reject(
      new Error(
        `The orchestrator ${this.name} does not support dynamic pipelines: it has no submitDynamicPipeline.`,
      ),
    );
  }

  /**
   * Runs one step of the run that is being submitted, with its cache, retries and hooks, and
   * resolves once it has ended well (ZenML `run_step`).
   *
   * @param step a step of the snapshot, or its id
   * @throws the step's own error; an error where it was skipped or stopped, or where this is not
   *   called within a submission
   */
  async runStep(step: Pick<SnapshotStep, "id"> | string): Promise<void> {
    const id = typeof step === "string" ? step : step.id;
    const orchestratorRunId = this.#runIdOrNothing();
    await hostOf("runStep").call("runStep", {
      step: id,
      ...(orchestratorRunId === "" ? {} : { orchestratorRunId }),
    });
  }

  /**
   * Has the function of the dynamic pipeline that is being submitted run by orchd, and resolves
   * once it has ended well. What `submitDynamicPipeline` does around it is the flavor's.
   *
   * @throws the function's own error; an error where this is not called within a submission
   */
  async runPipelineFunction(): Promise<void> {
    await hostOf("runPipelineFunction").call("runFunction", null);
  }

  /**
   * Runs the pipeline's init hook, once a run; what it returns is every step's `context.state`
   * (ZenML `run_init_hook`).
   */
  static async runInitHook(_snapshot: Snapshot): Promise<void> {
    await hostOf("runInitHook").call("runInitHook", null);
  }

  /** Runs the pipeline's cleanup hook, once a run (ZenML `run_cleanup_hook`). */
  static async runCleanupHook(_snapshot: Snapshot): Promise<void> {
    await hostOf("runCleanupHook").call("runCleanupHook", null);
  }

  /**
   * How a run stands elsewhere (ZenML `fetch_status`). Asked after a restart of the daemon, every 5
   * seconds. A run that has ended or is stopping never goes back, whatever this says. Default:
   * nothing is known.
   */
  fetchStatus(
    _run: PlaceholderRun,
    _options: { readonly includeSteps: boolean },
  ): Promise<FetchedStatus> {
    return Promise.resolve({});
  }

  /**
   * Stops a run elsewhere (ZenML `stop_run`). Steps that run through `runStep` are stopped by
   * orchd; this is for what was started in another way. Default: nothing to do.
   */
  stopRun(_run: PlaceholderRun, _options: { readonly graceful: boolean }): Promise<void> {
    return Promise.resolve();
  }

  /**
   * All that this flavor declares, defaults filled in: what the daemon knows of it.
   *
   * @throws Error where a declaration and a method contradict each other
   */
  describe(): { readonly flavor: string; readonly capabilities: Capabilities } {
    const { capabilities: declared = {}, supportsDynamicPipelines: implemented, name } = this;
    const unknown = Object.keys(declared).find((key) => !Object.hasOwn(DEFAULT_CAPABILITIES, key));
    if (unknown !== undefined) {
      throw new Error(
        `The orchestrator ${name} declares ${JSON.stringify(unknown)}, which is no capability${didYouMean(unknown, Object.keys(DEFAULT_CAPABILITIES))}`,
      );
    }
    if (
      declared.supportsDynamicPipelines !== undefined &&
      declared.supportsDynamicPipelines !== implemented
    ) {
      throw new Error(
        implemented
          ? `The orchestrator ${name} declares that it does not support dynamic pipelines, and has submitDynamicPipeline; remove one of the two.`
          : `The orchestrator ${name} declares supportsDynamicPipelines, but has no submitDynamicPipeline.`,
      );
    }
    const capabilities: Capabilities = {
      ...DEFAULT_CAPABILITIES,
      ...declared,
      enableCache: this.enableCache,
      isSynchronous: this.isSynchronous,
      isSchedulable: this.isSchedulable,
      supportsClientSideCaching: this.supportsClientSideCaching,
      handlesStepRetries: this.handlesStepRetries,
      canRunIsolatedSteps: this.canRunIsolatedSteps,
      supportedExecutionModes: this.supportedExecutionModes,
      supportsDynamicPipelines: implemented,
      reportsStatus:
        declared.reportsStatus ?? this.fetchStatus !== BaseOrchestrator.prototype.fetchStatus,
    };
    return { flavor: name, capabilities };
  }

  #runIdOrNothing(): string {
    try {
      return this.getOrchestratorRunId() ?? "";
    } catch {
      return "";
    }
  }

  #can(name: Exclude<keyof Capabilities, "supportedExecutionModes">): boolean {
    const configured = (this.config as Record<string, unknown> | undefined)?.[name];
    if (typeof configured === "boolean") return configured;
    return this.capabilities?.[name] ?? DEFAULT_CAPABILITIES[name];
  }
}

/**
 * Merged with the class, so that a flavor may declare it as a member or as a getter: a class can
 * allow only one of the two.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging, no-unused-vars -- the one property is optional, so none is left uninitialised
export interface BaseOrchestrator<C extends z.ZodType = z.ZodType> {
  /** What this flavor can do, where it differs from the defaults of {@link Capabilities}. */
  readonly capabilities?: Partial<Capabilities>;
}

function hostOf(method: string): OrchestratorHost {
  const host = (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] as OrchestratorHost | undefined;
  if (host === undefined) throw new Error(`${method} works within submitPipeline only.`);
  return host;
}
