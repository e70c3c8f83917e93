/**
 * A task: a piece of user code, or a shell text, that runs once and ends with exactly one result.
 * What it is and how it ends, in words that every place and everything that runs in one
 * understands.
 *
 * Whoever starts a task names it by an id, which is the fencing token of what it runs for
 * (`RUN#SEQ` for a step's attempt). While a task runs it may `call` the daemon (a dynamic pipeline
 * asks for a step, an orchestrator runs one), which replies.
 */
import type { StepError } from "./failure.ts";
import type { CodeRef, InputRef, Json } from "./snapshot.ts";

/** What a run tells the code that works for it (`context.run`). */
export interface RunInfo {
  readonly id: string;
  readonly pipeline: string;
  /** ISO 8601, UTC; undefined for a run asked for by hand. */
  readonly scheduledFor?: string | undefined;
  readonly attempt: number;
}

/**
 * What all tasks have. Secrets are resolved: `env` holds values, which `secrets` lists so that they
 * can be masked.
 */
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
  /** The slots that were missed, for `onMissed`. */
  readonly slots?: Json | undefined;
  /** The run's params, for run-level hooks. */
  readonly params?: { readonly [key: string]: Json } | undefined;
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
 * Runs a dynamic pipeline's function. It `call`s `step` ({@link DynamicCall}; the reply `{id}` says
 * that the invocation is recorded) and `result` (`{id}`; the reply is what `step.completed` keeps:
 * `{result: VALUE}` or one member a declared output; its error rejects). The value is a {@link
 * DynamicEnd}.
 */
export interface DynamicTask extends TaskBase {
  readonly kind: "dynamic";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly state?: Json | undefined;
}

/**
 * Where an input of a dynamic invocation comes from: another invocation, or a value that the
 * function gave.
 */
export type DynamicInput = InputRef | { readonly value: Json };

/**
 * An invocation that a dynamic pipeline's function asks for. The same program makes the same calls
 * in the same order when it runs again, so the text of this record (`JSON.stringify`, its keys in
 * this order) is what a replay compares.
 */
export interface DynamicCall {
  /** The invocation's id: the step's name, then `NAME_2`, `NAME_3`; or what the function chose. */
  readonly id: string;
  /** The step's own name. */
  readonly name: string;
  /** How to find its function again in the pipeline's bundle (`CodeRef.pick`). */
  readonly pick: string;
  /**
   * What `step(fn, options)` was given, functions replaced by `{$code}`: the keys of a step in a
   * pipeline file, `uses` and `run` excepted.
   */
  readonly options: { readonly [key: string]: Json };
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: DynamicInput };
  readonly after: readonly string[];
}

/** How a dynamic pipeline's function ended that did not throw. */
export interface DynamicEnd {
  /**
   * Invocations that failed without anyone waiting for them: a warning under `continue_on_failure`.
   */
  readonly unawaited: readonly { readonly id: string; readonly message: string }[];
}

/**
 * Holds an instance of a user's orchestrator class and calls one method of it with `argument`.
 * `runStep(step)` inside it becomes a `call` of method `runStep` with `{step: ID}`. The instance
 * lives as long as the task. `describe` gives what the class declares. With `submitPipeline` and
 * `submitDynamicPipeline`, `{orchestratorRunId?, metadata, waits}` is sent as a `call` of method
 * `accepted` as soon as the method returns, and the task is done once `waitForCompletion` is; an
 * error of waiting carries the code `ORCHD_WAIT`, so that it fails no run.
 */
export interface FlavorTask extends TaskBase {
  readonly kind: "flavor";
  readonly code: CodeRef;
  readonly config: { readonly [key: string]: Json };
  readonly method:
    | "describe"
    | "submitPipeline"
    | "submitDynamicPipeline"
    | "fetchStatus"
    | "stopRun";
  readonly argument: Json;
}

/** Anything a runner can be asked to do. */
export type Task =
  | ModuleTask
  | ShellTask
  | HookTask
  | LoadTask
  | CacheFunctionTask
  | DynamicTask
  | FlavorTask;

/** How a task ended. */
export type TaskResult =
  | { readonly ok: true; readonly value: Json }
  | {
      readonly ok: false;
      readonly error: StepError;
      /**
       * `failed` by its own doing; `stopped` because it was told to; `timeout` by its own limit.
       */
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

/** The name of the environment variable that marks every process of a runner. */
export const TOKEN_VARIABLE = "ORCHD_RUNNER_TOKEN";

/**
 * How much output of one attempt is kept, in bytes; a line counts its text and {@link
 * LINE_OVERHEAD}.
 */
export const OUTPUT_LIMIT = 8 * 1024 * 1024;
/**
 * What a line counts besides its text: what stands around it in the run's log. Without it, empty
 * lines would be free.
 */
export const LINE_OVERHEAD = 96;
/** The largest result in bytes of JSON. */
export const RESULT_LIMIT = 32 * 1024 * 1024;
