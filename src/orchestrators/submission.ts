/**
 * The words of a submission: what an orchestrator is given, and what it gives back (docs/zenml.md
 * "Members"; ZenML `submit_pipeline`).
 *
 * All of it is plain JSON but for `waitForCompletion`, because a custom orchestrator's code runs
 * outside the daemon.
 */
import type { Json, Snapshot } from "../core/snapshot.ts";
import type { Status } from "../core/status.ts";
import type { Stack } from "./stack.ts";

/**
 * The run that a submission is for (ZenML's placeholder run): its ledger's header is durable before
 * the orchestrator is called, so that a crash in between leaves a run that says so, not a lost one.
 */
export interface PlaceholderRun {
  /** The run's id. */
  readonly id: string;
  readonly pipeline: string;
  /** `initializing` when the orchestrator is called. */
  readonly status: Status;
  readonly orchestratorRunId: string;
  /** ISO 8601, UTC; undefined for a run asked for by hand. */
  readonly scheduledFor?: string | undefined;
  readonly params: { readonly [name: string]: Json };
  /** What the orchestrator gave back when it took the run; empty before. */
  readonly metadata: { readonly [name: string]: Json };
}

/** What {@link BaseOrchestrator.submitPipeline} gets. */
export interface PipelineSubmission {
  /**
   * The frozen pipeline. `steps` are in an order in which each comes after all it needs; those that
   * the cache answered are left out.
   */
  readonly snapshot: Snapshot;
  readonly stack: Stack;
  /** Variables that all steps share. */
  readonly baseEnvironment: Readonly<Record<string, string>>;
  /** Each step's own variables, by step id. */
  readonly stepEnvironments: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly placeholderRun: PlaceholderRun;
}

/** What {@link BaseOrchestrator.submitDynamicPipeline} gets. */
export interface DynamicPipelineSubmission {
  /** The frozen pipeline; `steps` is empty, because its function decides as it runs. */
  readonly snapshot: Snapshot;
  readonly stack: Stack;
  /** Variables for the environment in which the function runs. */
  readonly environment: Readonly<Record<string, string>>;
  readonly placeholderRun: PlaceholderRun;
}

/** What an orchestrator gives back when it has taken a run (ZenML `SubmissionResult`). */
export interface SubmissionResult {
  /** Recorded in the run's ledger: whatever helps to find the run elsewhere. JSON. */
  readonly metadata?: { readonly [name: string]: Json } | undefined;
  /** Waits for the run's end. An error from it never makes the run fail. */
  readonly waitForCompletion?: (() => Promise<void>) | undefined;
}

/** What {@link BaseOrchestrator.fetchStatus} knows; undefined members: not known. */
export interface FetchedStatus {
  readonly status?: Status | undefined;
  readonly steps?: Readonly<Record<string, Status>> | undefined;
}
