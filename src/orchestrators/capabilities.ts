/**
 * What an orchestrator can do, as data (docs/zenml.md "Members"). Each flavor declares it, and it
 * is checked before anything is written.
 */
import type { ExecutionMode } from "../core/status.ts";

/**
 * An orchestrator's capabilities. Names and defaults are ZenML's; the last three are orchd's own.
 */
export interface Capabilities {
  /**
   * An earlier result may be used for a step where neither the step nor the pipeline says anything.
   * ZenML `enable_cache`. Default true.
   */
  readonly enableCache: boolean;
  /** Submitting waits for the run's end. ZenML `is_synchronous`. Default false. */
  readonly isSynchronous: boolean;
  /** Pipelines with a schedule are accepted. ZenML `is_schedulable`. Default false. */
  readonly isSchedulable: boolean;
  /**
   * The steps that the cache answers are left out before the orchestrator is called. ZenML
   * `supports_client_side_caching`. Default true.
   */
  readonly supportsClientSideCaching: boolean;
  /**
   * The orchestrator retries failed steps itself, by asking for them again, so orchd does not. In a
   * dynamic pipeline the function asks for steps, and orchd retries. ZenML `handles_step_retries`.
   * Default false.
   */
  readonly handlesStepRetries: boolean;
  /**
   * `submitDynamicPipeline` is implemented. ZenML `supports_dynamic_pipelines`. Default: true if it
   * is.
   */
  readonly supportsDynamicPipelines: boolean;
  /** A step can run isolated from others. ZenML `can_run_isolated_steps`. Default false. */
  readonly canRunIsolatedSteps: boolean;
  /** ZenML `supported_execution_modes`. Default: only `continue_on_failure`, as in ZenML. */
  readonly supportedExecutionModes: readonly ExecutionMode[];
  /**
   * Runs can be stopped. Default: those whose steps all run through `runStep`, and every run if
   * `stopRun` is implemented. False refuses every stop.
   */
  readonly canStop: boolean;
  /** A submission that a crash cut off may be made again. Default false. */
  readonly resubmits: boolean;
  /**
   * Runs go on without the daemon, and `fetchStatus` says after a restart how they stand. Default:
   * true if it is implemented.
   */
  readonly reportsStatus: boolean;
}

/** The capabilities of an orchestrator that declares none. */
export const DEFAULT_CAPABILITIES: Capabilities = {
  enableCache: true,
  isSynchronous: false,
  isSchedulable: false,
  supportsClientSideCaching: true,
  handlesStepRetries: false,
  supportsDynamicPipelines: false,
  canRunIsolatedSteps: false,
  supportedExecutionModes: ["continue_on_failure"],
  canStop: true,
  resubmits: false,
  reportsStatus: false,
};
