/**
 * The orchestrator `local`: the run-loop itself plans each step of a run, and starts it in a place.
 * So there is nothing to submit: the daemon only asks this class what it can do.
 */
import { EXECUTION_MODES } from "../core/status.ts";
import { BaseOrchestrator } from "./base-orchestrator.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";

/** Declares what runs without an orchestrator of the user's can do. */
export class LocalOrchestrator extends BaseOrchestrator {
  static flavor = "local";

  constructor() {
    super({}, "local");
  }

  /** It can do everything. */
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

  /** The id of the run that the calling step belongs to. @throws Error outside a step */
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
