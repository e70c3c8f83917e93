/**
 * The public API: with it a person writes pipelines in code, steps and orchestrators.
 *
 * Every name is listed by hand. What is not listed here may change at any time. Importing this runs
 * nothing and loads no engine: `openRoot` loads one when it is called.
 */

// Pipelines and steps
export { pipeline, step, unmapped } from "./steps/authoring.ts";
export { Schedule } from "./steps/schedule.ts";
export { dynamicPipeline } from "./steps/dynamic-pipeline.ts";
export type { DynamicPipeline } from "./steps/dynamic-pipeline.ts";
export type { Pipeline, Unmapped } from "./steps/authoring.ts";
export type {
  PipelineSettings,
  Step,
  StepEntry,
  StepOptions,
  StepSettings,
} from "./steps/step-entry.ts";
export type { CacheContext, HookContext, Loose, StepContext, StepLog } from "./steps/context.ts";
export type {
  CallArguments,
  CallOptions,
  DynamicRun,
  OutputHandle,
  StepHandle,
} from "./steps/dynamic-run.ts";
export type { RunInfo } from "./core/task.ts";

// Orchestrators: the user's own, and that of this host
export { BaseOrchestrator } from "./orchestrators/base-orchestrator.ts";
export { LocalOrchestrator } from "./orchestrators/local-orchestrator.ts";
export type { Capabilities } from "./orchestrators/capabilities.ts";
export { StackComponent } from "./orchestrators/stack-component.ts";
export type { StackComponentType } from "./orchestrators/stack-component.ts";
export { LocalArtifactStore } from "./orchestrators/local-artifact-store.ts";
export { Stack } from "./orchestrators/stack.ts";
export type { StackOptions } from "./orchestrators/stack.ts";
export type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./orchestrators/submission.ts";
export type {
  CacheSettings,
  CodeRef,
  EnvValue,
  Hooks,
  InputRef,
  Json,
  OnInterruption,
  OrchestratorRef,
  RetryPolicy,
  SecretRef,
  Snapshot,
  SnapshotStep,
} from "./core/snapshot.ts";
export { ExecutionMode, ExecutionStatus } from "./core/status.ts";

// What ledgers, replies and views hold
export type {
  PipelineEvent,
  PipelineLine,
  RunEvent,
  RunHeader,
  RunLine,
  Trigger,
} from "./core/event.ts";
export type { StepError } from "./core/failure.ts";
export type { Reply, Request, RequestInput } from "./core/request.ts";
export type { FinalRunStatus, Status } from "./core/status.ts";
export type { DaemonView, StatusView } from "./views/status-view.ts";
export type { PipelineView } from "./views/pipeline-view.ts";
export type { RunSummary } from "./views/run-list.ts";
export type { RunView, StepView } from "./views/run-view.ts";
export type { SlotDecision, SlotOutcome } from "./views/slot-outcome.ts";

// Programs
export { openRoot } from "./program/open-root.ts";
export type {
  OpenRoot,
  OpenRootOptions,
  PlaceholderOptions,
  RootOrchestrator,
} from "./program/root.ts";

/**
 * The schema library (zod) that an orchestrator's config is written with. With it here, an
 * orchestrator needs no other package.
 */
export { z } from "zod";
