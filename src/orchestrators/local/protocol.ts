/**
 * Everything that the daemon and a runner, and a runner and its worker threads, say to each other.
 *
 * A task is a piece of user code (or a shell text) that runs once and ends with exactly one `done`. The daemon names it by `id`, which
 * is the fencing token of what it runs for (`RUN#SEQ` for a step's attempt); nothing is ever answered under another id. While a task
 * runs it may `call` the daemon (a dynamic pipeline asks for a step, an orchestrator runs one), which `reply`s.
 *
 * Messages travel in arrays, so that what is ready together costs one trip.
 */
import type { Json, CodeRef } from "../../core/snapshot.ts";
import type { StepError } from "../../core/failure.ts";

/** What a run tells the code that works for it (`context.run`). */
export interface RunInfo {
  readonly id: string;
  readonly pipeline: string;
  /** ISO 8601, UTC; undefined for a run asked for by hand. */
  readonly scheduledFor?: string | undefined;
  readonly attempt: number;
}

/** What all tasks have. Secrets are resolved: `env` holds values, which `secrets` lists so that they can be masked. */
interface TaskBase {
  readonly run: RunInfo;
  readonly step?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[] | undefined;
  /** Monotonic limit for the whole task. */
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly memoryMb?: number | undefined;
}

/** A module step. */
export interface ModuleTask extends TaskBase {
  readonly kind: "module";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
  readonly state?: Json | undefined;
  readonly outputs?: readonly string[] | undefined;
  readonly isolated: boolean;
}

/** A shell step. */
export interface ShellTask extends TaskBase {
  readonly kind: "shell";
  readonly text: string;
  readonly shell: readonly string[];
  readonly cwd: string;
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
  readonly outputs?: readonly string[] | undefined;
}

/** A hook: `init` gives the run's state; the others give nothing. */
export interface HookTask extends TaskBase {
  readonly kind: "hook";
  readonly hook: string;
  readonly code: CodeRef;
  readonly state?: Json | undefined;
  readonly error?: StepError | undefined;
  /** What `orchd why` would say, for run-level hooks. */
  readonly because?: string | undefined;
}

/** Evaluates a pipeline written in code; the value is a `LoadedDefinition`. */
export interface LoadTask extends TaskBase {
  readonly kind: "load";
  readonly code: CodeRef;
}

/** Calls a cache function; the value is its string. */
export interface CacheFunctionTask extends TaskBase {
  readonly kind: "cacheFunction";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
}

/**
 * Runs a dynamic pipeline's function. It calls `step` (params: {@link DynamicCall}; the reply is the invocation id once it is recorded) and
 * `result` (params: {id}; the reply is its outputs, or its error).
 */
export interface DynamicTask extends TaskBase {
  readonly kind: "dynamic";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly state?: Json | undefined;
}

/**
 * Holds an instance of a user's orchestrator class and calls one method of it. `runStep` inside it becomes a `call` of method
 * `runStep` with `{step}`. The instance lives as long as the task; with `submitPipeline` the value is `{metadata, waits}` sent as a
 * `call` of method `accepted`, and the task is done once `waitForCompletion` is.
 */
export interface FlavorTask extends TaskBase {
  readonly kind: "flavor";
  readonly code: CodeRef;
  readonly config: { readonly [key: string]: Json };
  readonly method: "describe" | "submitPipeline" | "submitDynamicPipeline" | "fetchStatus" | "stopRun";
  readonly argument: Json;
}

/** Anything a runner can be asked to do. */
export type Task = ModuleTask | ShellTask | HookTask | LoadTask | CacheFunctionTask | DynamicTask | FlavorTask;

/** How a task ended. */
export type TaskResult =
  | { readonly ok: true; readonly value: Json }
  | {
      readonly ok: false;
      readonly error: StepError;
      /** `failed` by its own doing; `stopped` because it was told to; `timeout` by its own limit. */
      readonly outcome: "failed" | "stopped" | "timeout";
    };

/** One line that a task printed or logged. */
export interface OutputLine {
  readonly at: string;
  readonly step: string;
  readonly attempt: number;
  readonly stream: "stdout" | "stderr" | "log" | "orchd";
  readonly line: string;
}

/** Daemon to runner. */
export type ToRunner =
  | { readonly type: "start"; readonly id: string; readonly task: Task }
  /** `graceful`: the signal, and nothing else. `force`: the signal, then the end after the grace period. */
  | { readonly type: "stop"; readonly id: string; readonly mode: "graceful" | "force"; readonly because: string }
  | { readonly type: "reply"; readonly id: string; readonly call: number; readonly value?: Json; readonly error?: StepError };

/** Runner to daemon. */
export type FromRunner =
  | { readonly type: "done"; readonly id: string; readonly result: TaskResult; readonly durationMs: number; readonly startedAt: number }
  | { readonly type: "call"; readonly id: string; readonly call: number; readonly method: string; readonly argument: Json }
  | { readonly type: "output"; readonly id: string; readonly lines: readonly OutputLine[] }
  /** A thread does not end when told to: the runner asks to be replaced. `id` is the task at fault. */
  | { readonly type: "stuck"; readonly id: string };

/** What the daemon gives a runner when it starts it. */
export interface RunnerSettings {
  readonly threads: number;
  readonly memoryMb?: number | undefined;
  /** The folder with bundles, `runs/.orchd/bundles`. */
  readonly bundles: string;
  /** A folder for the files of shell steps, which the runner may fill and empty. */
  readonly scratch: string;
  /** Stands in the environment of every process a step starts, so that none is left behind: `ORCHD_RUNNER_TOKEN`. */
  readonly token: string;
}
