/**
 * The types of what a person writes in code: the keys of a pipeline file (core/pipeline.ts), where
 * functions may stand for modules.
 */
import type { PipelineDefinition, StepDefinition } from "../core/pipeline.ts";
import type { CacheContext, HookContext, Loose, StepContext } from "./context.ts";

/** A function, or the name of a module. */
type Hook = string | ((context: HookContext) => unknown);
type CacheDefinition = Omit<NonNullable<StepDefinition["cache"]>, "cacheFunction"> & {
  readonly cacheFunction?:
    | string
    | ((context: CacheContext) => string | Promise<string>)
    | undefined;
};
type StepHooks = { readonly [K in keyof NonNullable<StepDefinition["hooks"]>]?: Hook | undefined };
type PipelineHooks = {
  readonly [K in keyof NonNullable<PipelineDefinition["hooks"]>]?: Hook | undefined;
};

/**
 * The keys of a step, as in a pipeline file (docs/pipeline-files.md). Functions may stand where a
 * file names modules.
 */
export type StepSettings = Omit<StepDefinition, "uses" | "run" | "cache" | "hooks"> & {
  readonly cache?: CacheDefinition | undefined;
  readonly hooks?: StepHooks | undefined;
};

/**
 * What `step()` takes besides the function. It holds wherever the step is used, unless the pipeline
 * overrides it there.
 */
export type StepOptions = Omit<StepSettings, "inputs" | "after" | "when"> & {
  /** The step's name. Default: the name of its export, else of its function. */
  readonly name?: string | undefined;
};

/**
 * A step written in code: what {@link step} returns.
 *
 * @typeParam P its params
 * @typeParam I its inputs
 * @typeParam O what it returns
 */
export interface Step<P = Loose, I = Loose, O = unknown> {
  /** Calls the step's function, as a test may do. Nothing is checked, masked or recorded. */
  (context: StepContext<P, I>): Promise<O>;
  readonly [STEP_TYPES]?: { readonly params: P; readonly inputs: I; readonly output: O };
}
declare const STEP_TYPES: unique symbol;

type AnyStep = Step<never, never>;
type AnyFunction = (context: never) => unknown;

/**
 * One entry of a pipeline's `steps`. It has `uses` (a step, a function, or `MODULE#export`) or
 * `run` (a shell text).
 */
export type StepEntry = StepSettings & {
  readonly uses?: string | AnyStep | AnyFunction | undefined;
  readonly run?: string | undefined;
};

/**
 * The keys of a pipeline, as in a pipeline file (docs/pipeline-files.md), without `steps`.
 * Functions may stand where a file names modules.
 */
export type PipelineSettings = Omit<PipelineDefinition, "steps" | "hooks"> & {
  readonly hooks?: PipelineHooks | undefined;
};
