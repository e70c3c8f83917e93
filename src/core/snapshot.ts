/**
 * The snapshot: a pipeline frozen and compiled, as the first line of a run's ledger keeps it
 * (ZenML's `PipelineSnapshot`).
 *
 * A pipeline file is what a person writes (pipeline.ts). A snapshot is what a run uses. Everything
 * in it is resolved: durations are milliseconds, defaults are filled in, code is named by the hash
 * of its bundle, and each step comes after all that it needs. It is plain JSON and never changes
 * once a run has begun.
 */
import type { ContainerSpec } from "./container.ts";
import type { ExecutionMode } from "./status.ts";

/** Any value that `JSON.stringify` and `JSON.parse` keep unchanged. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A value given by the name of a secret. Only the name is ever recorded. */
export interface SecretRef {
  readonly secret: string;
}

/** An env value: text, or the name of a secret. */
export type EnvValue = string | SecretRef;

/**
 * Where some user code is: the sha256 of a bundle, and how to find the function in the bundle's
 * module.
 */
export interface CodeRef {
  /** sha256 (hex) of the bundle. Its file is `runs/.orchd/bundles/SHA.mjs`. */
  readonly bundle: string;
  /**
   * How to find the function in the module:
   *
   * - `export:NAME`: a named export; `export:default` is the default one;
   * - `step:NAME`: the function of step NAME of the pipeline that is the default export;
   * - `hook:NAME`: hook NAME of that pipeline; `hook:NAME:STEP`: a step's own hook;
   * - `cache:STEP`: a step's cache function;
   * - `function`: the function of the dynamic pipeline that is the default export;
   * - `in:NAME:` and one of these: in the pipeline NAME that the module makes, exported or not;
   *   `in:NAME:definition` is that pipeline. NAME is empty if it has none.
   */
  readonly pick: string;
  /** What the person wrote, for messages: `./steps/read.ts#main`. */
  readonly source: string;
  /**
   * Whether the code also loads what is not in the bundle, by names that it computes as it runs.
   * Then nobody knows all of its code before, and a step of it is cached only where it asks.
   */
  readonly runtimeImports?: boolean | undefined;
}

/** A retry policy with every default filled in (semantics.md 9). */
export interface RetryPolicy {
  /** Attempts after the first. */
  readonly maxRetries: number;
  readonly delayMs: number;
  readonly backoff: number;
  readonly maxDelayMs?: number | undefined;
  /** The share of a delay that chance may add or subtract: 0 to 1. */
  readonly jitter: number;
  /** Error codes or names that are retried. Undefined: all. */
  readonly on?: readonly string[] | undefined;
}

/** What happens to a step that was running when the daemon or its runner died. */
export type OnInterruption = "retry" | "rerun" | "fail";

/** How a step's results may be reused. */
export interface CacheSettings {
  readonly expiresAfterMs?: number | undefined;
  /** Whether the key leaves out the slot that a run was scheduled for. */
  readonly acrossSlots: boolean;
  /** Paths relative to the pipeline file's folder. */
  readonly fileDependencies: readonly string[];
  readonly ignoredInputs: readonly string[];
  readonly includeStepCode: boolean;
  readonly cacheFunction?: CodeRef | undefined;
}

/** Hooks of a run or of one step. */
export interface Hooks {
  readonly init?: CodeRef | undefined;
  readonly cleanup?: CodeRef | undefined;
  readonly onSuccess?: CodeRef | undefined;
  readonly onFailure?: CodeRef | undefined;
  readonly onRunFailure?: CodeRef | undefined;
  readonly onMissed?: CodeRef | undefined;
}

/** Where an input's value comes from. */
export interface InputRef {
  readonly step: string;
  /**
   * The name of a declared output. Undefined: the result, or the object of all declared outputs.
   */
  readonly output?: string | undefined;
}

/** One step of a snapshot. */
export interface SnapshotStep {
  readonly id: string;
  /** A module step's code. A step has exactly one of `code` and `run`. */
  readonly code?: CodeRef | undefined;
  /** A shell step's text. */
  readonly run?: string | undefined;
  /** The shell and its arguments. Default: `["/bin/sh", "-eu"]`. */
  readonly shell?: readonly string[] | undefined;
  /** The absolute working folder of a shell step. Default: the pipeline file's folder. */
  readonly cwd?: string | undefined;
  /** The container that the step runs in. Undefined: none. */
  readonly container?: ContainerSpec | undefined;
  /**
   * The labels that its place must have, sorted, each once. Undefined: it runs on this machine.
   * They are not part of its cache key.
   */
  readonly on?: readonly string[] | undefined;
  /** `${params.…}` is replaced already. `${run.…}` is replaced when the step starts. */
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: InputRef };
  readonly outputs?: readonly string[] | undefined;
  readonly after: readonly string[];
  /** A condition over params and inputs (condition.ts). */
  readonly when?: string | undefined;
  readonly env: { readonly [name: string]: EnvValue };
  /** The step's own setting. Undefined: the pipeline's, then the orchestrator's. */
  readonly enableCache?: boolean | undefined;
  readonly cache?: CacheSettings | undefined;
  readonly retry: RetryPolicy;
  readonly onInterruption: OnInterruption;
  readonly timeoutMs?: number | undefined;
  /** How long it may wait for room, once it could start. Undefined: for ever. */
  readonly startWithinMs?: number | undefined;
  readonly memoryMb?: number | undefined;
  readonly isolated: boolean;
  readonly hooks: Pick<Hooks, "onSuccess" | "onFailure">;
}

/**
 * The flavor that runs a pipeline: `local`, another name from orchd.yaml, or a class in a user's
 * file.
 */
export interface OrchestratorRef {
  readonly flavor: string;
  /** It is a place on other machines: the run-loop itself plans the steps, and they run there. */
  readonly place?: true | undefined;
  readonly code?: CodeRef | undefined;
  readonly config: { readonly [key: string]: Json };
}

/** A frozen pipeline. */
export interface Snapshot {
  readonly name: string;
  readonly description?: string | undefined;
  /**
   * sha256 over the canonical JSON of everything except `file`. It includes code by the hash of its
   * bundle.
   */
  readonly digest: string;
  /** The pipeline file's absolute path, for messages and as the base of relative paths. */
  readonly file: string;
  readonly executionMode: ExecutionMode;
  readonly maxParallelSteps: number;
  readonly enableCache?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  /** `env` of orchd.yaml as the run was made, the layer below `env`. Undefined: none. */
  readonly baseEnv?: { readonly [name: string]: EnvValue } | undefined;
  /**
   * The environment of the stack's components, the layer between `baseEnv` and `env`. Nothing in it
   * is replaced. Undefined: none, or an older version's.
   */
  readonly stackEnv?: { readonly [name: string]: string } | undefined;
  readonly env: { readonly [name: string]: EnvValue };
  readonly hooks: Hooks;
  readonly orchestrator: OrchestratorRef;
  /** Each step comes after all that it needs. Empty for a dynamic pipeline. */
  readonly steps: readonly SnapshotStep[];
  /** A dynamic pipeline's function. */
  readonly dynamic?: CodeRef | undefined;
  /** What an invocation of a dynamic pipeline takes if it says nothing itself. */
  readonly stepDefaults?:
    | (Pick<SnapshotStep, "retry" | "onInterruption" | "hooks" | "on"> & {
        /** As it is written (container-schema.ts). */
        readonly container?: unknown;
      })
    | undefined;
}
