/**
 * The snapshot: a pipeline frozen and compiled, as the first line of a run's ledger keeps it
 * (ZenML's `PipelineSnapshot`).
 *
 * A pipeline file is what a person writes (pipeline.ts); a snapshot is what a run runs. Everything
 * in it is resolved: durations are milliseconds, defaults are filled in, code is named by the hash
 * of its bundle, steps stand in an order in which each comes after all it needs. It is plain JSON
 * and never changes once a run has begun.
 */
import type { ExecutionMode } from "./status.ts";

/** Any value that survives `JSON.stringify` and back unchanged. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A value given by the name of a secret; the name is all that is ever recorded. */
export interface SecretRef {
  readonly secret: string;
}

/** An env value: text, or the name of a secret. */
export type EnvValue = string | SecretRef;

/**
 * Where a piece of user code is: a bundle's sha256 and how to find the function in the module it
 * evaluates to.
 */
export interface CodeRef {
  /** sha256 (hex) of the bundle, which is `runs/.orchd/bundles/SHA.mjs`. */
  readonly bundle: string;
  /**
   * `export:NAME` a named export (`export:default` the default one); `step:NAME` the function of
   * step NAME of the pipeline that the module exports by default; `hook:NAME` that pipeline's hook
   * NAME; `hook:NAME:STEP` a step's own hook; `cache:STEP` its cache function; `function` the
   * function of the dynamic pipeline that it exports by default.
   */
  readonly pick: string;
  /** What the person wrote, for messages: `./steps/read.ts#main`. */
  readonly source: string;
}

/** A retry policy with every default filled in (semantics.md 9). */
export interface RetryPolicy {
  /** Attempts after the first. */
  readonly maxRetries: number;
  readonly delayMs: number;
  readonly backoff: number;
  readonly maxDelayMs?: number | undefined;
  /** The share of a delay that chance may add or take: 0 to 1. */
  readonly jitter: number;
  /** Error codes or names that are retried; undefined: all. */
  readonly on?: readonly string[] | undefined;
}

/** What is to happen to a step that was running when the daemon or its runner died. */
export type OnInterruption = "retry" | "rerun" | "fail";

/** How a step's results may be reused. */
export interface CacheSettings {
  readonly expiresAfterMs?: number | undefined;
  /** The slot a run was scheduled for is left out of the key. */
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
  /** A declared output's name; undefined: the result, or the object of all declared outputs. */
  readonly output?: string | undefined;
}

/** One step of a snapshot. */
export interface SnapshotStep {
  readonly id: string;
  /** A module step's code. Exactly one of `code` and `run` is there. */
  readonly code?: CodeRef | undefined;
  /** A shell step's text. */
  readonly run?: string | undefined;
  /** The shell and its arguments; default `["/bin/sh", "-eu"]`. */
  readonly shell?: readonly string[] | undefined;
  /** Absolute working folder of a shell step; default: the pipeline file's folder. */
  readonly cwd?: string | undefined;
  /** `${params.…}` is already replaced; `${run.…}` is replaced when the step starts. */
  readonly params: { readonly [key: string]: Json };
  readonly inputs: { readonly [name: string]: InputRef };
  readonly outputs?: readonly string[] | undefined;
  readonly after: readonly string[];
  /** A condition over params and inputs (condition.ts). */
  readonly when?: string | undefined;
  readonly env: { readonly [name: string]: EnvValue };
  /** The step's own setting; undefined: the pipeline's, then the orchestrator's. */
  readonly enableCache?: boolean | undefined;
  readonly cache?: CacheSettings | undefined;
  readonly retry: RetryPolicy;
  readonly onInterruption: OnInterruption;
  readonly timeoutMs?: number | undefined;
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
  readonly code?: CodeRef | undefined;
  readonly config: { readonly [key: string]: Json };
}

/** A frozen pipeline. */
export interface Snapshot {
  readonly name: string;
  readonly description?: string | undefined;
  /**
   * sha256 over the canonical JSON of everything else but `file`, code included by its bundle's
   * hash.
   */
  readonly digest: string;
  /** The pipeline file's absolute path, for messages and as the base of relative paths. */
  readonly file: string;
  readonly executionMode: ExecutionMode;
  readonly maxParallelSteps: number;
  readonly enableCache?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly env: { readonly [name: string]: EnvValue };
  readonly hooks: Hooks;
  readonly orchestrator: OrchestratorRef;
  /** In an order in which each step comes after all it needs; empty for a dynamic pipeline. */
  readonly steps: readonly SnapshotStep[];
  /** A dynamic pipeline's function. */
  readonly dynamic?: CodeRef | undefined;
  /** What the invocations of a dynamic pipeline take where they say nothing themselves. */
  readonly stepDefaults?: Pick<SnapshotStep, "retry" | "onInterruption" | "hooks"> | undefined;
}
