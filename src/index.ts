/**
 * The public API: what a pipeline in code, a step and an orchestrator of one's own are written
 * with. Every name is listed by hand; what is not here may change without a word. Nothing here runs
 * anything: the daemon is a program, not a library.
 */

// Pipelines and steps
export { pipeline, step, unmapped } from "./steps/authoring.ts";
export { dynamicPipeline } from "./steps/dynamic-pipeline.ts";
export type { DynamicPipeline } from "./steps/dynamic-pipeline.ts";
export type {
  Pipeline,
  PipelineSettings,
  Step,
  StepEntry,
  StepOptions,
  StepSettings,
  Unmapped,
} from "./steps/authoring.ts";
export type { CacheContext, HookContext, Loose, StepContext, StepLog } from "./steps/context.ts";
export type {
  CallArguments,
  CallOptions,
  DynamicRun,
  OutputHandle,
  StepHandle,
} from "./steps/dynamic-run.ts";
export type { RunInfo } from "./core/task.ts";

// Orchestrators of one's own
export { BaseOrchestrator } from "./orchestrators/base-orchestrator.ts";
export type { Capabilities } from "./orchestrators/capabilities.ts";
export { StackComponent } from "./orchestrators/stack-component.ts";
export type { StackComponentType } from "./orchestrators/stack-component.ts";
export type { Stack, StackPart } from "./orchestrators/stack.ts";
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
export type { ExecutionMode, Status } from "./core/status.ts";

/**
 * The schema library that configs are written with, so that an orchestrator needs no package but
 * this one.
 */
export { z } from "zod";
