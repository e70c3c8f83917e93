/**
 * The public API for other programs: they read what happened and ask for things. Nothing here holds
 * a lock or runs anything; no engine is in it.
 *
 * Every name is listed by hand. What is not listed here may change at any time.
 */
export { connect } from "./client/connect.ts";
export type { ConnectOptions } from "./client/connect.ts";
export type {
  BackfillOptions,
  Client,
  Moment,
  PruneOptions,
  RunsOptions,
  SlotsOptions,
  SubmitOptions,
} from "./client/client.ts";
export { ClientError } from "./client/client-error.ts";
export type { ClientFault } from "./client/client-error.ts";
export type { Answer } from "./client/asking.ts";
export type { Follow, FollowedLine, FollowOptions } from "./client/follow.ts";
export type { LogLine, LogOptions } from "./client/run-output.ts";
export { ExecutionMode, ExecutionStatus } from "./core/status.ts";

// What they read and are answered
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
export type { PlaceHostView, PlacesView, PlaceView, WaitingSteps } from "./views/places.ts";
export type { PipelineView } from "./views/pipeline-view.ts";
export type { RunSummary } from "./views/run-list.ts";
export type { PlacedAt } from "./core/run-state.ts";
export type { Placement, RunView, StepView } from "./views/run-view.ts";
export type { SlotDecision, SlotOutcome } from "./views/slot-outcome.ts";
export type { Json } from "./core/snapshot.ts";
