/**
 * A task: user code, or a shell text, that runs once and ends with exactly one result. This file
 * says what a task is and how it ends, in the words that every place and everything inside a place
 * use.
 *
 * The caller that starts a task gives it an id. The id is the fencing token of what the task runs
 * for (`RUN#SEQ` for a step's attempt). A running task may `call` the daemon, which replies: a
 * dynamic pipeline asks for a step, an orchestrator runs one.
 */
import type { StepError } from "./failure.ts";
import type { ContainerSpec } from "./container.ts";
import type { ArtifactRef } from "./artifact-ref.ts";
import type { CodeRef, InputRef, Json } from "./snapshot.ts";
import type { TraceSeed } from "./trace-span.ts";

/** What the code of a run is told about the run (`context.run`). */
export interface RunInfo {
  readonly id: string;
  readonly pipeline: string;
  /** ISO 8601, UTC. Undefined for a run by hand. */
  readonly scheduledFor?: string | undefined;
  readonly attempt: number;
}

/**
 * What all tasks have. Secrets are resolved: `env` holds their values, and `secrets` lists these
 * values so that they can be masked.
 */
interface TaskBase {
  readonly run: RunInfo;
  readonly step?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[] | undefined;
  /** The limit of the whole task, in monotonic time. */
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly memoryMb?: number | undefined;
  /** The folder of values that are in files. A large result is written into it too. */
  readonly artifacts?: string | undefined;
  /**
   * The run's trace: `TRACEPARENT` is added where the task runs. Not for a cache function, whose
   * text becomes part of a key.
   */
  readonly trace?: TraceSeed | undefined;
  /** Inputs besides `inputs`. Only for tasks that have inputs. */
  readonly stored?: readonly StoredInputs[] | undefined;
}

/**
 * Inputs that are in files, at least in part: the outputs of one step. They are loaded where the
 * task runs, from the folder `artifacts`, so that the daemon need not read them.
 */
export interface StoredInputs {
  readonly step: string;
  /** As a ledger has them: an object or a reference, whose members may be references. */
  readonly outputs: Json;
  /** For each input the output that it is. Null: the object of all outputs. */
  readonly inputs: { readonly [name: string]: string | null };
}

/** The names of files that a runner wrote beside the artifacts begin like this. */
export const STAGED_PREFIX = ".staged-";

/** A file that a runner wrote beside the artifacts, and what it will be. */
export interface StagedFile {
  readonly ref: ArtifactRef;
  readonly file: string;
}

/** A step's outputs as a ledger has them, for a task that loads them itself. */
export class StoredOutputs {
  readonly outputs: Json;
  constructor(outputs: Json) {
    this.outputs = outputs;
  }
}

/** A large result: as a ledger has it, with the files that it refers to. */
export interface StagedValue {
  readonly value: Json;
  readonly files: readonly StagedFile[];
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
  /** The container that it runs in. Undefined: none. */
  readonly container?: ContainerSpec | undefined;
  /** What the image's registry asks for. */
  readonly registryAuth?: string | undefined;
  /** The labels that its place must have. Undefined: it runs on this machine. */
  readonly on?: readonly string[] | undefined;
}

/** A shell step. */
export interface ShellTask extends TaskBase {
  readonly kind: "shell";
  readonly text: string;
  readonly shell: readonly string[];
  /** Empty: a folder of the attempt's own, which goes with it. */
  readonly cwd: string;
  /** The container that it runs in. Then `cwd` does not count, and `env` is all that was set. */
  readonly container?: ContainerSpec | undefined;
  /** What the image's registry asks for. */
  readonly registryAuth?: string | undefined;
  /** The labels that its place must have. Undefined: it runs on this machine. */
  readonly on?: readonly string[] | undefined;
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
  readonly outputs?: readonly string[] | undefined;
}

/** A hook. `init` returns the run's state; the others return nothing. */
export interface HookTask extends TaskBase {
  readonly kind: "hook";
  readonly hook: string;
  readonly code: CodeRef;
  readonly state?: Json | undefined;
  readonly error?: StepError | undefined;
  /** What `orchd why` would say; only for run-level hooks. */
  readonly because?: string | undefined;
  /** The slots that were missed; only for `onMissed`. */
  readonly slots?: Json | undefined;
  /** The run's params; only for run-level hooks. */
  readonly params?: { readonly [key: string]: Json } | undefined;
}

/** Evaluates a pipeline written in code. The value is a `LoadedDefinition`. */
export interface LoadTask extends TaskBase {
  readonly kind: "load";
  readonly code: CodeRef;
}

/** Calls a cache function. The value is the string that it returns. */
export interface CacheFunctionTask extends TaskBase {
  readonly kind: "cacheFunction";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
}

/**
 * Runs a dynamic pipeline's function. The value is a {@link DynamicEnd}. The function makes two
 * calls:
 *
 * - `step` ({@link DynamicCall}): the reply `{id}` says that the invocation is recorded;
 * - `result` (`{id}`): the reply is what `step.completed` keeps, `{result: VALUE}` or one member
 *   for each declared output. The step's error rejects the call.
 */
export interface DynamicTask extends TaskBase {
  readonly kind: "dynamic";
  readonly code: CodeRef;
  readonly params: { readonly [key: string]: Json };
  readonly state?: Json | undefined;
}

/**
 * Where an input of a dynamic invocation comes from: another invocation, or a value that the
 * function gives.
 */
export type DynamicInput = InputRef | { readonly value: Json };

/**
 * An invocation that a dynamic pipeline's function asks for. The same program makes the same calls
 * in the same order when it runs again. So a replay compares the text of this record
 * (`JSON.stringify`, with the keys in this order).
 */
export interface DynamicCall {
  /**
   * The invocation's id: the step's name, then `NAME_2`, `NAME_3`; or the id that the function
   * chose.
   */
  readonly id: string;
  /** The step's own name. */
  readonly name: string;
  /** How to find the step's function in the pipeline's bundle (`CodeRef.pick`). */
  readonly pick: string;
  /**
   * The options of `step(fn, options)`, with functions replaced by `{$code}`: the keys of a step in
   * a pipeline file, except `uses` and `run`.
   */
  readonly options: { readonly [key: string]: Json };
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: DynamicInput };
  readonly after: readonly string[];
}

/** How a dynamic pipeline's function ended, if it did not throw. */
export interface DynamicEnd {
  /** Invocations that failed and that nothing awaited: a warning under `continue_on_failure`. */
  readonly unawaited: readonly { readonly id: string; readonly message: string }[];
}

/**
 * Holds an instance of a user's orchestrator class and calls one of its methods with `argument`.
 * The instance lives as long as the task.
 *
 * - `describe` returns what the class declares.
 * - `runStep(step)` inside a method becomes a `call` of method `runStep` with `{step: ID}`.
 * - Before `submitPipeline` or `submitDynamicPipeline`, an id that `getOrchestratorRunId` gives is
 *   sent as a `call` of method `identify`. The reply is the id that the run has: it goes into the
 *   environments of the submission.
 * - `runInitHook` and `runCleanupHook` call the static methods of the class. There, a `call` of
 *   the same name is `super`'s: it runs the pipeline's own hook. In every other method it has the
 *   daemon call the class's method, once a run. The reply is a {@link HookReply}; so is the value
 *   of the task.
 * - When `submitPipeline` or `submitDynamicPipeline` returns, `{orchestratorRunId?, metadata,
 *   waits}` is sent at once, as a `call` of method `accepted`. The task ends when
 *   `waitForCompletion` ends. An error of waiting carries the code {@link WAIT_CODE}, so that it
 *   fails no run.
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
    | "stopRun"
    | "runInitHook"
    | "runCleanupHook";
  readonly argument: Json;
}

/** What a hook returned; no member where it returned nothing. */
export interface HookReply {
  readonly state?: Json;
}

/**
 * The symbol under which an instance of an orchestrator finds the daemon:
 * `globalThis[HOST_SYMBOL]`. The code that runs a {@link FlavorTask} sets it. It is a registered
 * symbol, because a user's bundle may hold a second copy of orchd.
 */
export const HOST_SYMBOL: symbol = Symbol.for("orchd.host");

/**
 * The symbol of the method by which the code that runs a {@link FlavorTask} has an instance make
 * its live stack: the `Stack` of the same copy of orchd as the class.
 */
export const STACK_SYMBOL: unique symbol = Symbol.for("orchd.stack") as never;

/** The code of an error of `waitForCompletion`. */
export const WAIT_CODE = "ORCHD_WAIT";

/** Every kind of task. */
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
  /** A large result of a step or of an init hook, in files. */
  | { readonly ok: true; readonly staged: StagedValue; readonly value?: undefined }
  | {
      readonly ok: false;
      readonly error: StepError;
      /** `failed`: by itself; `stopped`: it was told to stop; `timeout`: by its own limit. */
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
 * How much output of one attempt is kept, in bytes. A line counts its text and {@link
 * LINE_OVERHEAD}.
 */
export const OUTPUT_LIMIT = 8 * 1024 * 1024;
/**
 * What a line counts in addition to its text, in bytes: the rest of its record in the run's log.
 * Without this, empty lines would be free.
 */
export const LINE_OVERHEAD = 96;
/** The largest result, in bytes of JSON. */
export const RESULT_LIMIT = 32 * 1024 * 1024;
/**
 * The longest JSON, in UTF-16 code units, of an invocation that a dynamic pipeline's function asks
 * for. It passes the daemon whole, which also hashes it. Results are longer: they pass by name.
 */
export const INVOCATION_LIMIT = 256 * 1024;
/** The longest JSON of another call, in UTF-16 code units: an orchestrator's metadata. */
export const CALL_LIMIT = 1024 * 1024;

/** Why an orchestrator's metadata cannot be recorded, in a sentence. @param length of its JSON */
export function metadataFault(length: number): string | undefined {
  if (length <= CALL_LIMIT) return undefined;
  const [size, most] = [Math.ceil(length / 1024), CALL_LIMIT / 1024];
  return (
    `the orchestrator's metadata is ${size} KiB of JSON, ` +
    `and at most ${most} KiB can be recorded`
  );
}
/**
 * The longest JSON, in UTF-16 code units, of what user code other than a step answers: a pipeline's
 * definition, the text of a cache function, what an orchestrator says. It passes the daemon whole.
 */
export const ANSWER_LIMIT = 4 * 1024 * 1024;
