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
 * Runs a dynamic pipeline's function. It `call`s `step` ({@link DynamicCall}; the reply `{id}` says that the invocation is recorded) and
 * `result` (`{id}`; the reply is what `step.completed` keeps: `{result: VALUE}` or one member a declared output; its error rejects).
 * The value is a {@link DynamicEnd}.
 */
export interface DynamicTask extends TaskBase {
  readonly kind: "dynamic";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly state?: Json | undefined;
}

/** Where an input of a dynamic invocation comes from: another invocation, or a value that the function gave. */
export type DynamicInput = { readonly step: string; readonly output?: string | undefined } | { readonly value: Json };

/**
 * An invocation that a dynamic pipeline's function asks for. The same program makes the same calls in the same order when it runs again, so
 * the text of this record (`JSON.stringify`, its keys in this order) is what a replay compares.
 */
export interface DynamicCall {
  /** The invocation's id: the step's name, then `NAME_2`, `NAME_3`; or what the function chose. */
  readonly id: string;
  /** The step's own name. */
  readonly name: string;
  /** How to find its function again in the pipeline's bundle (`CodeRef.pick`). */
  readonly pick: string;
  /** What `step(fn, options)` was given, functions replaced by `{$code}`: the keys of a step in a pipeline file, `uses` and `run` excepted. */
  readonly options: { readonly [key: string]: Json };
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: DynamicInput };
  readonly after: readonly string[];
}

/** How a dynamic pipeline's function ended that did not throw. */
export interface DynamicEnd {
  /** Invocations that failed without anyone waiting for them: a warning under `continue_on_failure`. */
  readonly unawaited: readonly { readonly id: string; readonly message: string }[];
}

/**
 * Holds an instance of a user's orchestrator class and calls one method of it with `argument`. `runStep(step)` inside it becomes a `call` of
 * method `runStep` with `{step: ID}`. The instance lives as long as the task. `describe` gives what the class declares. With `submitPipeline`
 * and `submitDynamicPipeline`, `{orchestratorRunId?, metadata, waits}` is sent as a `call` of method `accepted` as soon as the method returns, and
 * the task is done once `waitForCompletion` is; an error of waiting carries the code `ORCHD_WAIT`, so that it fails no run.
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

/** What a runner's main thread must know of a task to place, limit and end it; the task itself travels as text and is parsed where it runs. */
export interface TaskHead {
  readonly kind: Task["kind"];
  readonly run: string;
  readonly pipeline: string;
  /** The step, or {@link nameOf} what is none: under this name its output stands. */
  readonly step: string;
  readonly attempt: number;
  readonly bundle?: string | undefined;
  readonly source?: string | undefined;
  readonly isolated: boolean;
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly memoryMb?: number | undefined;
}

/** Daemon to runner. */
export type ToRunner =
  /** `body` is the {@link Task} as JSON. */
  | { readonly type: "start"; readonly id: string; readonly head: TaskHead; readonly body: string }
  /** `graceful`: the signal, and nothing else. `force`: the signal, then the end after the grace period. */
  | { readonly type: "stop"; readonly id: string; readonly mode: "graceful" | "force"; readonly because: string }
  | { readonly type: "reply"; readonly id: string; readonly call: number; readonly value?: Json; readonly error?: StepError };

/** How a task ended, its value still as JSON text. */
export type RawResult =
  | { readonly ok: true; readonly json: string }
  | { readonly ok: false; readonly error: StepError; readonly outcome: "failed" | "stopped" | "timeout" };

/** Runner to daemon. */
export type FromRunner =
  | { readonly type: "done"; readonly id: string; readonly result: RawResult; readonly durationMs: number; readonly startedAt: number }
  | { readonly type: "call"; readonly id: string; readonly call: number; readonly method: string; readonly argument: Json }
  /** Without what the daemon knows of the task, and a line no more than its text: a flood is short lines. */
  | {
      readonly type: "output";
      readonly id: string;
      readonly at: string;
      readonly stream: OutputLine["stream"];
      readonly lines: readonly string[];
    }
  /** It was ended for what may have been the fault of others in the runner: it is to start again, alone. */
  | { readonly type: "aside"; readonly id: string; readonly beside: readonly string[]; readonly because: string }
  /**
   * A thread does not end when told to: the runner asks to be replaced. `id` is the task at fault, `result` how it ends; `unstarted` were not
   * begun and may be started elsewhere.
   */
  | {
      readonly type: "stuck";
      readonly id: string;
      readonly result: RawResult;
      readonly durationMs: number;
      readonly startedAt: number;
      readonly unstarted: readonly string[];
    };

/** What the daemon gives a runner when it starts it. */
export interface RunnerSettings {
  readonly threads: number;
  /** What the whole process may hold; default: three quarters of the machine's memory. */
  readonly memoryMb?: number | undefined;
  /** The folder with bundles, `runs/.orchd/bundles`. */
  readonly bundles: string;
  /** A folder for the files of shell steps, which the runner may fill and empty. */
  readonly scratch: string;
  /**
   * Stands in the environment of every process a step starts, so that none is left behind: `ORCHD_RUNNER_TOKEN`. Each runner appends `.N` to it, so
   * that one runner's processes can be ended (`killByToken`) and so can all of one daemon's.
   */
  readonly token: string;
}

/** The name of the environment variable that marks every process of a runner. */
export const TOKEN_VARIABLE = "ORCHD_RUNNER_TOKEN";

/** The descriptor of a runner whose other end only the daemon holds. */
export const LIFELINE = 4;

/** How much output of one attempt is kept, in bytes; a line counts its text and {@link LINE_OVERHEAD}. */
export const OUTPUT_LIMIT = 8 * 1024 * 1024;
/** What a line counts besides its text: what stands around it in the run's log. Without it, empty lines would be free. */
export const LINE_OVERHEAD = 96;
/** The largest result in bytes of JSON. */
export const RESULT_LIMIT = 32 * 1024 * 1024;

const NAMES: { readonly [kind in Task["kind"]]?: string } = { flavor: "orchestrator", dynamic: "function" };

/** The step, or what is no step, in brackets: no step's name has any, so what an orchestrator prints is never taken for a step's. */
export function nameOf(task: Task): string {
  return task.step ?? `(${task.kind === "hook" ? task.hook : (NAMES[task.kind] ?? task.kind)})`;
}

/** The head of a task. */
export function headOf(task: Task): TaskHead {
  return {
    kind: task.kind,
    run: task.run.id,
    pipeline: task.run.pipeline,
    step: nameOf(task),
    attempt: task.run.attempt,
    ...(task.kind === "shell" ? {} : { bundle: task.code.bundle, source: task.code.source }),
    isolated: task.kind === "module" && task.isolated,
    ...(task.timeoutMs === undefined ? {} : { timeoutMs: task.timeoutMs }),
    gracePeriodMs: task.gracePeriodMs,
    ...(task.memoryMb === undefined ? {} : { memoryMb: task.memoryMb }),
  };
}
