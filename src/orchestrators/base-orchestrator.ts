/**
 * An **orchestrator** says how a run's steps come to run. (The engine owns many runs; the run-loop
 * drives one; a place is where one step runs.)
 *
 * `BaseOrchestrator` is ZenML's class of that name, in TypeScript: docs/zenml.md has a row for each
 * member. A user's flavor implements `getOrchestratorRunId` and `submitPipeline`, and declares in
 * `capabilities` what else it can do. An instance lives where user code lives: in a runner process,
 * never in the daemon. It asks the daemon through the host that the runner provides.
 *
 * Unlike ZenML: capabilities are declared data and are not found by comparing methods, an instance
 * keeps no state between runs (each submission gets a new one), and nothing polls.
 */
import type * as z from "zod";
import type { Json, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import type { ExecutionMode } from "../core/status.ts";
import { HOST_SYMBOL, STACK_SYMBOL, type HookReply } from "../core/task.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import { checkDeclared } from "./declared-capabilities.ts";
import { ownMethod, standBefore } from "./program-runs.ts";
import { refuseFields } from "./run-methods.ts";
import { Stack } from "./stack.ts";
import { environmentOf, StackComponent } from "./stack-component.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./submission.ts";

/** What the process does for the orchestrator in it. */
interface OrchestratorHost {
  /** Asks the daemon. Rejects with the error that it answers. */
  call(method: string, argument: Json): Promise<Json>;
  /** Asks for the run's id where the process serves several runs. Default: straight. */
  identified?(ask: () => string): string;
}

/** What a class does about the hooks of a run. */
export interface OverriddenHooks {
  /** It has a `runInitHook` of its own. */
  readonly init: boolean;
  /** It has a `runCleanupHook` of its own. */
  readonly cleanup: boolean;
  /** It calls `runInitHook` itself: that is the moment for it, and not before the submission. */
  readonly callsInit: boolean;
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
 *     await Promise.all(snapshot.steps.map((step) => this.runStep(step)));
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
   * @param config as written; the class's `static config` checks it and fills in the defaults
   * @param name default: the class's flavor
   * @throws z.ZodError if the config does not fit
   */
  constructor(config: unknown = {}, name?: string) {
    super(config, name);
    standBefore(this);
  }

  /**
   * Whether steps run on another machine. The config may say so with a member or a getter
   * `isRemote`, as in ZenML.
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
    const base = BaseOrchestrator.prototype.submitDynamicPipeline;
    return ownMethod(this, "submitDynamicPipeline") !== base;
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
   * The orchestrator's own id of this run: the same in each step of a run, another in the next run
   * (ZenML `get_orchestrator_run_id`). Steps find it in `ORCHD_ORCHESTRATOR_RUN_ID`. It is called
   * before the submission, and the first id that it returns stays; `process.env` then has
   * `ORCHD_RUN_ID`. A flavor that does not know the id yet throws or returns an empty text: then
   * the submission has the run's own id, and this is called again with the first step that runs,
   * and when the run is accepted.
   */
  abstract getOrchestratorRunId(): string;

  /**
   * Submits a pipeline whose steps are known (ZenML `submit_pipeline`). It need not wait for the
   * end. If it rejects, a run that has not ended fails.
   */
  abstract submitPipeline(
    submission: PipelineSubmission,
  ): Promise<SubmissionResult | undefined | void>;

  /**
   * Submits a pipeline that decides as it runs (ZenML `submit_dynamic_pipeline`). Default: it
   * rejects, because dynamic pipelines are not supported.
   */
  submitDynamicPipeline(
    _submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult | undefined | void> {
    return Promise.reject(
      new Error(
        `The orchestrator ${this.name} does not support dynamic pipelines: ` +
          "it has no submitDynamicPipeline.",
      ),
    );
  }

  /**
   * Runs one step of the run that is being submitted, with its cache, retries and hooks (ZenML
   * `run_step`). Resolves when the step has ended well. A flavor that declares `handlesStepRetries`
   * calls it again for the next attempt, up to the step's `maxRetries` times; while an attempt runs
   * all calls wait for the same one.
   *
   * @param step a step of the snapshot, or its id
   * @throws the step's own error; an Error if the step was skipped or stopped, and if this is not
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
   * Has orchd run the function of the dynamic pipeline that is being submitted. Resolves when the
   * function has ended well. What `submitDynamicPipeline` does before and after is up to the
   * flavor.
   *
   * @throws the function's own error; an Error if this is not called within a submission
   */
  async runPipelineFunction(): Promise<void> {
    const orchestratorRunId = this.#runIdOrNothing();
    const named = orchestratorRunId === "" ? {} : { orchestratorRunId };
    await hostOf("runPipelineFunction").call("runFunction", named);
  }

  /**
   * Runs the pipeline's init hook, once a run, and resolves with what that returns (ZenML
   * `run_init_hook`): it is the `context.state` of each step.
   *
   * orchd calls it before it submits the run, or, where the class's submission calls it, at that
   * moment. A class that overrides it decides whether the pipeline's hook runs: `super.runInitHook`
   * runs it. What the override returns is the state, unless it returns nothing. If it rejects, the
   * run fails before any step.
   *
   * @throws Error if this is not called within a run
   */
  static runInitHook(_snapshot: Snapshot): Promise<unknown> {
    return callHook("runInitHook");
  }

  /**
   * Runs the pipeline's cleanup hook, once a run (ZenML `run_cleanup_hook`). orchd calls it when
   * the run has ended, also after a failure, a stop and a crash, unless the init hook did not
   * complete. A class that overrides it decides whether the pipeline's hook runs. If it rejects,
   * that is recorded and changes nothing.
   *
   * @throws Error if this is not called within a run
   */
  static runCleanupHook(_snapshot: Snapshot): Promise<unknown> {
    return callHook("runCleanupHook");
  }

  /**
   * Says how a run stands elsewhere (ZenML `fetch_status`). After a restart of the daemon it is
   * called every 5 seconds. A run that has ended or is stopping never goes back, whatever this
   * returns. Default: nothing is known.
   */
  fetchStatus(
    _run: PlaceholderRun,
    _options?: { readonly includeSteps?: boolean },
  ): Promise<FetchedStatus> {
    return Promise.resolve({});
  }

  /**
   * Stops a run elsewhere (ZenML `stop_run`). orchd itself stops the steps that run through
   * `runStep`: this is for what was started in another way. The run is stopping until
   * `waitForCompletion` or `fetchStatus` says that it has ended; where neither can, until this
   * returns. It may be called again: by force after a graceful stop, and after a restart of the
   * daemon. What it throws is told to those who asked. Default: it does nothing, and a run whose
   * steps do not run through `runStep` cannot be stopped.
   */
  stopRun(_run: PlaceholderRun, _options?: { readonly graceful?: boolean }): Promise<void> {
    return Promise.resolve();
  }

  /**
   * All that this flavor declares, with the defaults filled in: what the daemon knows of it.
   *
   * @throws Error if a declaration is unknown, or contradicts a method; if a method that takes a
   *   run is a field; if the environment cannot be read, or holds anything but texts
   */
  describe(): {
    readonly flavor: string;
    readonly capabilities: Capabilities;
    readonly environment: Readonly<Record<string, string>>;
    readonly hooks: OverriddenHooks;
    /** `stopRun` is implemented. */
    readonly hasStopRun: boolean;
    /** `canStop` is declared. */
    readonly declaresStop: boolean;
  } {
    refuseFields(this);
    const { capabilities: declared = {}, supportsDynamicPipelines: implemented, name } = this;
    checkDeclared(name, declared, this.constructor);
    if (
      declared.supportsDynamicPipelines !== undefined &&
      declared.supportsDynamicPipelines !== implemented
    ) {
      throw new Error(
        `The orchestrator ${name} declares ` +
          (implemented
            ? "that it does not support dynamic pipelines, and has submitDynamicPipeline; " +
              "remove one of the two."
            : "supportsDynamicPipelines, but has no submitDynamicPipeline."),
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
        declared.reportsStatus ??
        ownMethod(this, "fetchStatus") !== BaseOrchestrator.prototype.fetchStatus,
    };
    const hooks = overriddenHooks(this.constructor as typeof BaseOrchestrator);
    return {
      flavor: name,
      capabilities,
      environment: environmentOf(this),
      hooks,
      hasStopRun: ownMethod(this, "stopRun") !== BaseOrchestrator.prototype.stopRun,
      declaresStop: declared.canStop === true,
    };
  }

  /** The live stack of a submission to this orchestrator. For the code that calls it. */
  [STACK_SYMBOL](name: string): Stack {
    return new Stack({ name, orchestrator: this });
  }

  #runIdOrNothing(): string {
    try {
      const ask = (): string => this.getOrchestratorRunId() ?? "";
      const host = (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] as
        | OrchestratorHost
        | undefined;
      return host?.identified?.(ask) ?? ask();
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
 * Merged with the class, so that a flavor may declare `capabilities` as a member or as a getter: a
 * class allows only one of the two. The property is optional, so none is left uninitialised.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging, no-unused-vars -- see above
export interface BaseOrchestrator<C extends z.ZodType = z.ZodType> {
  /** What this flavor can do, where it differs from the defaults of {@link Capabilities}. */
  readonly capabilities?: Partial<Capabilities>;
}

async function callHook(method: "runInitHook" | "runCleanupHook"): Promise<unknown> {
  return ((await hostOf(method).call(method, null)) as HookReply | null)?.state;
}

/** A call of the init hook that is no call of the parent class's. */
const INIT_CALL = /(?<!\bsuper)\.runInitHook\s*\(/;

function overriddenHooks(type: typeof BaseOrchestrator): OverriddenHooks {
  let callsInit = false;
  for (let one = type; one !== BaseOrchestrator && typeof one === "function";) {
    callsInit ||= INIT_CALL.test(Function.prototype.toString.call(one));
    one = Object.getPrototypeOf(one) as typeof BaseOrchestrator;
  }
  return {
    init: type.runInitHook !== BaseOrchestrator.runInitHook,
    cleanup: type.runCleanupHook !== BaseOrchestrator.runCleanupHook,
    callsInit,
  };
}

function hostOf(method: string): OrchestratorHost {
  const host = (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] as OrchestratorHost | undefined;
  if (host === undefined) throw new Error(`${method} works within submitPipeline only.`);
  return host;
}
