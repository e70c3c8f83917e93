/**
 * The **orchestrator** `local`: the run-loop plans each step of a run itself, and starts it on this
 * machine. So there is nothing to submit, and the daemon never calls this class to run a pipeline:
 * it only asks what the class declares. Where the steps run is src/places/local/.
 */
import { EXECUTION_MODES } from "../core/status.ts";
import { BaseOrchestrator } from "./base-orchestrator.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";

/** See the head of this file. */
export class LocalOrchestrator extends BaseOrchestrator {
  static flavor = "local";

  constructor() {
    super({}, "local");
  }

  /** All that there is. */
  override get capabilities(): Capabilities {
    return {
      ...DEFAULT_CAPABILITIES,
      isSchedulable: true,
      supportsDynamicPipelines: true,
      canRunIsolatedSteps: true,
      supportedExecutionModes: EXECUTION_MODES,
      resubmits: true,
      reportsStatus: true,
    };
  }

  /**
   * Each run has its own id, which its steps find in their environment.
   *
   * @throws Error outside a step
   */
  override getOrchestratorRunId(): string {
    const id = process.env["ORCHD_ORCHESTRATOR_RUN_ID"];
    if (id === undefined)
      throw new Error(
        "Outside a step there is no one run; a step finds it in ORCHD_ORCHESTRATOR_RUN_ID.",
      );
    return id;
  }

  /** Does nothing: the run-loop starts the steps. */
  override submitPipeline(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** Does nothing: the run-loop runs the function, and starts the steps that it asks for. */
  override submitDynamicPipeline(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
