/**
 * What an orchestrator can do, as data: declared by each flavor, checked before anything is written
 * (docs/zenml.md "Members").
 */
import type { ExecutionMode } from "../core/status.ts";

/**
 * An orchestrator's capabilities. The names and defaults are ZenML's, but for the last three, which
 * are orchd's.
 */
export interface Capabilities {
  /**
   * Whether earlier results may stand for steps, where neither step nor pipeline says anything.
   * ZenML `enable_cache`. Default true.
   */
  readonly enableCache: boolean;
  /** Submitting waits for the run's end. ZenML `is_synchronous`. Default false. */
  readonly isSynchronous: boolean;
  /** Pipelines with a schedule are accepted. ZenML `is_schedulable`. Default false. */
  readonly isSchedulable: boolean;
  /**
   * Steps that the cache answers are taken out before the orchestrator is called. ZenML
   * `supports_client_side_caching`. Default true.
   */
  readonly supportsClientSideCaching: boolean;
  /**
   * The orchestrator retries failed steps by itself, so orchd does not. ZenML
   * `handles_step_retries`. Default false.
   */
  readonly handlesStepRetries: boolean;
  /**
   * `submitDynamicPipeline` is implemented. ZenML `supports_dynamic_pipelines`. Default: whether it
   * is.
   */
  readonly supportsDynamicPipelines: boolean;
  /** Steps can be run in isolation. ZenML `can_run_isolated_steps`. Default false. */
  readonly canRunIsolatedSteps: boolean;
  /** ZenML `supported_execution_modes`. Default: `continue_on_failure` alone, as in ZenML. */
  readonly supportedExecutionModes: readonly ExecutionMode[];
  /**
   * Runs can be stopped: `stopRun` is implemented, or steps run through `runStep`. Default true.
   */
  readonly canStop: boolean;
  /** A submission that a crash cut off may simply be made again. Default false. */
  readonly resubmits: boolean;
  /**
   * Runs outlive the daemon: after a restart `fetchStatus` tells how they stand. Default: whether
   * it is implemented.
   */
  readonly reportsStatus: boolean;
}

/** What an orchestrator that declares nothing can do. */
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
