/**
 * The orchestrator `local`: the run-loop itself plans each step of a run, and starts it in a place.
 *
 * The daemon only asks this class what it can do. In a program, where `openRoot` has opened a root,
 * its methods work: the root stands before them (program-runs.ts), starts the run of a placeholder,
 * and reads how it stands. What stands here is what they say without a root.
 */
import { EXECUTION_MODES } from "../core/status.ts";
import { BaseOrchestrator } from "./base-orchestrator.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./submission.ts";

/** Runs a pipeline's steps on this host. */
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

  /** Starts the run of a placeholder. Rejects where no open root has the run. */
  override submitPipeline(_submission: PipelineSubmission): Promise<SubmissionResult | undefined> {
    return rootless("submitPipeline");
  }

  /** The same for a dynamic pipeline, whose function says which steps there are. */
  override submitDynamicPipeline(
    _submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult | undefined> {
    return rootless("submitDynamicPipeline");
  }

  /** How a run stands, as its ledger says. Rejects where no open root has the run. */
  override fetchStatus(
    _run: PlaceholderRun,
    _options?: { readonly includeSteps?: boolean },
  ): Promise<FetchedStatus> {
    return rootless("fetchStatus");
  }

  /** Stops a run. Rejects where no open root has the run, or where the run has ended. */
  override stopRun(
    _run: PlaceholderRun,
    _options?: { readonly graceful?: boolean },
  ): Promise<void> {
    return rootless("stopRun");
  }
}

function rootless(method: string): Promise<never> {
  const message =
    `${method} of the orchestrator local needs a run of an open root: ` +
    'open one with openRoot("/path"), and take the run from its placeholder().';
  return Promise.reject(new Error(message));
}
