/**
 * What an orchestrator is given in a submission, and what it returns (docs/zenml.md "Members";
 * ZenML `submit_pipeline`).
 *
 * All but the stack and `waitForCompletion` is plain JSON, because a user's orchestrator runs
 * outside the daemon. The stack's components live where the orchestrator does.
 */
import type { Json, Snapshot } from "../core/snapshot.ts";
import type { Status } from "../core/status.ts";
import type { Stack } from "./stack.ts";

/**
 * The run that is submitted (ZenML's placeholder run). Its ledger's header is durable before the
 * orchestrator is called: a crash in between leaves a run that says so, and loses none.
 */
export interface PlaceholderRun {
  /** The run's id. */
  readonly id: string;
  readonly pipeline: string;
  /** `initializing` when the orchestrator is called. */
  readonly status: Status;
  readonly orchestratorRunId: string;
  /** ISO 8601, UTC. Undefined for a run that a person asked for. */
  readonly scheduledFor?: string | undefined;
  readonly params: { readonly [name: string]: Json };
  /** What the orchestrator returned when it accepted the run. Empty before. */
  readonly metadata: { readonly [name: string]: Json };
}

/** What {@link BaseOrchestrator.submitPipeline} gets. */
export interface PipelineSubmission {
  /**
   * The frozen pipeline. In `steps` each step comes after all that it needs. The steps that the
   * cache answered are left out.
   */
  readonly snapshot: Snapshot;
  readonly stack: Stack;
  /** Variables that all steps share: orchd.yaml's `env`, the stack's and the pipeline's. */
  readonly baseEnvironment: Readonly<Record<string, string>>;
  /** Each step's whole environment, by step id: the base, merged with the step's own. */
  readonly stepEnvironments: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly placeholderRun: PlaceholderRun;
}

/** What {@link BaseOrchestrator.submitDynamicPipeline} gets. */
export interface DynamicPipelineSubmission {
  /** The frozen pipeline. `steps` is empty: the pipeline's function decides as it runs. */
  readonly snapshot: Snapshot;
  readonly stack: Stack;
  /** Variables for the environment in which the function runs. */
  readonly environment: Readonly<Record<string, string>>;
  readonly placeholderRun: PlaceholderRun;
}

/** What an orchestrator returns when it has accepted a run (ZenML `SubmissionResult`). */
export interface SubmissionResult {
  /** JSON that helps to find the run elsewhere. It is recorded in the run's ledger. */
  readonly metadata?: { readonly [name: string]: Json } | undefined;
  /** Waits for the run's end. An error from it never makes the run fail. */
  readonly waitForCompletion?: (() => Promise<void>) | undefined;
}

/** What {@link BaseOrchestrator.fetchStatus} knows. An undefined member is not known. */
export interface FetchedStatus {
  readonly status?: Status | undefined;
  readonly steps?: Readonly<Record<string, Status>> | undefined;
}
