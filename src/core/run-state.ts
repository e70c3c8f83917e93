/**
 * A run as its ledger has it: what is in force, how far each of its steps is. run-fold.ts folds the
 * lines.
 *
 * The state keeps what a reader asks for: statuses, times, reasons. It also keeps what the planner
 * needs, so that planning costs what changed and not what there is: how many inputs each step still
 * lacks, which steps are ready, running, waiting for a retry, or can no longer run, and which hooks
 * are owed.
 */
import type { Trigger } from "./event.ts";
import type { StepError } from "./failure.ts";
import type { Lane } from "./lane.ts";
import type { Json, Snapshot, SnapshotStep } from "./snapshot.ts";
import type { FinalRunStatus, Status } from "./status.ts";
import type { TimedKeys } from "./timed-keys.ts";

/** Where a step is between its first line and its last. */
export type StepPhase = "waiting" | "ready" | "running" | "delayed" | "ended";

/** One step of a run. */
export interface StepState {
  spec: SnapshotStep;
  phase: StepPhase;
  status: Status;
  /**
   * The current or last attempt, from 1. 0 before the first. A re-run after an interruption repeats
   * the number.
   */
  attempt: number;
  /** How often the step started again after an interruption without counting the attempt. */
  reruns: number;
  /** The seq of the current attempt's `step.started`: its fencing token (semantics.md 14). */
  token: number;
  /** How many steps must still end well before this one may start. */
  unmet: number;
  /** The next start must be in a runner of its own. */
  alone: boolean;
  /** The next start repeats the attempt's number: it does not count. */
  rerun: boolean;
  outputs?: Readonly<Record<string, Json>>;
  error?: StepError;
  /** When a delayed step may start again, in milliseconds since 1970. */
  retryAt?: number;
  because?: string;
  startedAt?: string;
  finishedAt?: string;
  /** The orchestrator started it, in a place of its own. */
  elsewhere?: boolean;
  cacheKey?: string;
  source?: { readonly run: string; readonly step: string };
  /** All attempts, in order; the last one may still run. */
  attempts: AttemptState[];
  /**
   * What a dynamic pipeline's function called. A different call shows up when the function runs
   * again.
   */
  call?: string;
  /** Input values that a dynamic pipeline's function gave directly. */
  values?: Readonly<Record<string, Json>>;
}

/** One attempt of a step. */
export interface AttemptState {
  readonly attempt: number;
  status: Status;
  readonly startedAt: string;
  finishedAt?: string;
  error?: StepError;
  /** Where it runs. Undefined: in a process of the daemon's machine. */
  placed?: PlacedAt;
}

/** Where an attempt runs: a place, the machine, and what it runs in there. */
export interface PlacedAt {
  readonly place: string;
  readonly host: string;
  readonly ref: string;
}

/** A step's hook that has not been called yet. */
export interface OwedHook {
  readonly hook: "onSuccess" | "onFailure";
  readonly step: string;
}

/** A stop that was asked for. */
export interface StopState {
  mode: "graceful" | "force";
  by: string;
  because?: string;
  requestId?: string;
  /** Why the orchestrator could not stop the run, the last time that it was asked. */
  failed?: StepError;
}

/** A run, folded from its ledger. */
export interface RunState {
  readonly run: string;
  readonly pipeline: string;
  orchestratorRunId: string;
  readonly trigger: Trigger;
  readonly params: Readonly<Record<string, Json>>;
  snapshot: Snapshot;
  readonly tags: readonly string[];
  readonly reuse: Readonly<Record<string, string>>;
  readonly submittedAt: string;
  phase: "submitted" | "queued" | "started" | "finished";
  /** The hooks that the orchestrator's class overrides: they are called in the pipeline's place. */
  orchestratorHooks: readonly ("init" | "cleanup")[];
  /** How far handing the run to its orchestrator has come. */
  submission: "none" | "started" | "accepted" | "failed";
  /** Why the orchestrator did not take the run. */
  submissionError?: StepError;
  /** What the orchestrator returned when it accepted the run. */
  metadata?: Readonly<Record<string, Json>>;
  startedAt?: string;
  because?: string;
  /** The concurrency group that it shares with other pipelines' runs. */
  readonly group?: string;
  /**
   * While it waits: the most runs that may be active at once, of its pipeline (or backfill), of its
   * group and of the whole root.
   */
  limits?: {
    readonly lane?: number | undefined;
    readonly group?: number | undefined;
    readonly total?: number | undefined;
  };
  readonly steps: Map<string, StepState>;
  readonly dependents: Map<string, string[]>;
  readonly ready: Set<string>;
  /** How many of the ready steps queue in each lane. */
  readonly readyIn: { [lane: Lane]: number };
  readonly running: Set<string>;
  readonly delayed: Set<string>;
  /** The lanes of other machines that any of its steps queues in. */
  readonly farLanes: Set<Lane>;
  /**
   * The steps that wait for room no longer than a limit (`startWithin`), and when that is over. It
   * counts from the run's begin; a step that waits for its next attempt waits for room from then
   * on. A run may have ten thousand of them, and each plan asks which waits are over.
   */
  readonly startLimits: TimedKeys;
  /** Why no place takes steps with these labels, which stand with a `+` between them. */
  readonly waits: Map<string, string>;
  /** Steps that can no longer run, and why. Each still needs a `step.skipped` line. */
  readonly doomed: Map<string, string>;
  readonly owedHooks: Map<string, OwedHook>;
  ended: number;
  failed: number;
  stoppedSteps: number;
  /** The first step that failed for good. */
  firstFailure?: string;
  stop?: StopState;
  /** Why the run's time is up. */
  timedOut?: string;
  init: "none" | "owed" | "done" | "failed";
  initError?: StepError;
  /** What the init hook returned. */
  hookState?: Json;
  cleanup: "none" | "owed" | "done";
  runFailureHook: "none" | "owed" | "done";
  /** A dynamic pipeline's function. */
  function: "none" | "owed" | "ended";
  functionError?: StepError;
  /** Steps that failed and that the function did not await. Absent: there are none. */
  unawaited?: readonly string[];
  /**
   * How long the run had been worked on when it was last taken over, in milliseconds. A time limit
   * counts this.
   */
  workedMs: number;
  /** When the present daemon took the run over. Undefined while the first daemon works on it. */
  resumedAt?: string;
  finished?: {
    readonly status: FinalRunStatus;
    readonly because: string;
    readonly at: string;
    readonly durationMs: number;
    readonly workedMs?: number;
  };
  recoveries: number;
  lastSeq: number;
  lastAt: string;
}

const NONE: ReadonlySet<string> = new Set();

/** The steps that must end well before this one starts, each once. */
export function upstreamOf(spec: SnapshotStep): ReadonlySet<string> {
  const inputs = Object.values(spec.inputs);
  if (inputs.length === 0 && spec.after.length === 0) return NONE;
  return new Set([...inputs.map((input) => input.step), ...spec.after]);
}

/** Whether the steps after this one may build on it. */
export function endedWell(step: StepState): boolean {
  return step.status === "completed" || step.status === "cached";
}

/** The hook that counts for a step: its own, or else the pipeline's. */
export function stepHook(
  snapshot: Snapshot,
  spec: SnapshotStep,
  hook: OwedHook["hook"],
): Snapshot["hooks"]["init"] {
  return spec.hooks?.[hook] ?? snapshot.hooks?.[hook];
}
