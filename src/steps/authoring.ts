/**
 * What a person writes a pipeline with: `step()`, `pipeline()`, `unmapped()`; `dynamicPipeline()`
 * is in dynamic-pipeline.ts.
 *
 * None of them runs anything. They return a definition with a mark by which a runner recognises it.
 * Marks are registered symbols, because a bundle may hold a second copy of this module.
 */
import { KIND_SYMBOL } from "../core/loaded-definition.ts";
import type { PipelineDefinition, StepDefinition } from "../core/pipeline.ts";
import type { CacheContext, HookContext, Loose, StepContext } from "./context.ts";

/** The symbol under which a step carries its parts ({@link StepParts}). */
export const STEP_SYMBOL: symbol = Symbol.for("orchd.step");
/** The symbol under which a dynamic pipeline carries its function. */
export const FUNCTION_SYMBOL: symbol = Symbol.for("orchd.function");
/**
 * The symbol of the global list that collects a module's steps, in order, while it is evaluated.
 */
export const COLLECTOR_SYMBOL: symbol = Symbol.for("orchd.collector");
/** The symbol under which a step without a name carries the stack of its `step()` call. */
export const ORIGIN_SYMBOL: symbol = Symbol.for("orchd.origin");
const UNMAPPED_SYMBOL: symbol = Symbol.for("orchd.unmapped");

/**
 * The type of a value after JSON: a `Date` is a string, and an object with `toJSON` is what that
 * returns.
 */
export type Jsonified<T> = unknown extends T
  ? T
  : T extends { toJSON(): infer J }
    ? J
    : T extends readonly (infer E)[]
      ? Jsonified<E>[]
      : T extends object
        ? { [K in keyof T]: Jsonified<T[K]> }
        : T extends undefined
          ? null
          : T;

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

/** What `step()` was given. */
export interface StepParts {
  readonly run: (context: StepContext) => unknown;
  readonly options: StepOptions;
}

/**
 * Makes a step of a function. The function gets a {@link StepContext} and runs in a worker thread.
 *
 * What it returns is the step's result: anything that JSON can hold, at most 32 MiB of it. With
 * declared `outputs` the result is an object with exactly one member for each of them. A result
 * that JSON cannot hold (a function, a cycle, a BigInt) fails the step.
 *
 * ```ts
 * import { readFile } from "node:fs/promises";
 * import { step, type StepContext } from "orchd";
 *
 * export const read = step(async ({ params, signal }: StepContext<{ path: string }>) => {
 *   const text = await readFile(params.path, { encoding: "utf8", signal });
 *   return text.split("\n");
 * });
 * ```
 *
 * The step is named by its export, else by its function; `options.name` overrides both.
 *
 * @param run the function
 * @param options what holds wherever the step is used, unless the pipeline overrides it there
 * @throws TypeError if `run` is not a function
 */
export function step<P = Loose, I = Loose, O = unknown>(
  run: (context: StepContext<P, I>) => O | Promise<O>,
  options: StepOptions = {},
): Step<P, I, O> {
  if (typeof run !== "function")
    throw new TypeError("step() takes a function: step(async ({ params, inputs }) => …)");
  const made = (context: StepContext<P, I>): Promise<O> => Promise.resolve(run(context));
  Object.defineProperty(made, "name", { value: options.name ?? run.name });
  Object.defineProperty(made, STEP_SYMBOL, { value: { run, options } });
  const collector = (globalThis as Record<symbol, unknown>)[COLLECTOR_SYMBOL];
  if (Array.isArray(collector)) {
    collector.push(made);
    // `export const read = step(async () => …)` gives its function no name. In a module that the
    // pipeline's file imports, only the place of the call tells it.
    if (made.name === "") Object.defineProperty(made, ORIGIN_SYMBOL, { value: bundleStack() });
  }
  return made;
}

/** The stack of this call in terms of the bundle: a thread gives stacks in terms of the sources. */
function bundleStack(): string | undefined {
  const { prepareStackTrace } = Error;
  // eslint-disable-next-line unicorn/no-useless-undefined -- V8's own format, for one error
  Reflect.set(Error, "prepareStackTrace", undefined);
  try {
    return new Error().stack;
  } finally {
    Reflect.set(Error, "prepareStackTrace", prepareStackTrace);
  }
}

/** What `step()` was given to make this value; undefined for any other value. */
export function stepParts(value: unknown): StepParts | undefined {
  return typeof value === "function"
    ? (value as unknown as Record<symbol, StepParts | undefined>)[STEP_SYMBOL]
    : undefined;
}

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

/** The keys that a value of this type must have; none if it takes any name. */
export type RequiredKeys<T> = string extends keyof T
  ? never
  : { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];
/**
 * What a pipeline may write for a value: the value, a text with `${params.NAME}` or `${run.…}` in
 * it, or a secret's name.
 */
type Written<T> =
  | (T extends readonly (infer E)[]
      ? readonly Written<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Written<T[K]> }
        : T)
  | `${string}\${${string}}${string}`
  | { readonly secret: string };
type ParamsOf<E> = E extends { readonly uses: (context: infer C) => unknown }
  ? C extends { readonly params: infer P }
    ? P
    : Loose
  : Loose;
/**
 * Params may be left out, because `step()` may have given them. A param that the step does not know
 * is refused.
 */
type CheckedParams<E> = string extends keyof ParamsOf<E>
  ? unknown
  : unknown extends ParamsOf<E>
    ? unknown
    : E extends { readonly params: infer G }
      ? {
          readonly params: {
            readonly [N in keyof G]: N extends keyof ParamsOf<E> ? Written<ParamsOf<E>[N]> : never;
          };
        }
      : unknown;
type InputsOf<E> = E extends { readonly uses: (context: infer C) => unknown }
  ? C extends { readonly inputs: infer I }
    ? I
    : Loose
  : Loose;
type ResultOf<E> = E extends { readonly uses: (context: never) => infer R }
  ? Jsonified<Awaited<R>>
  : E extends { readonly run: string }
    ? Loose
    : Loose;
/** All names of results whose type fits T: `step`, or `step.output` for a declared output. */
type SourceOf<S, T> = {
  [K in keyof S & string]: S[K] extends { readonly uses: string } | { readonly run: string }
    ? K | `${K}.${string}`
    :
        | (ResultOf<S[K]> extends T ? K : never)
        | {
            [N in keyof ResultOf<S[K]> & string]: ResultOf<S[K]>[N] extends T ? `${K}.${N}` : never;
          }[keyof ResultOf<S[K]> & string];
}[keyof S & string];
type CheckedInputs<S, E> = string extends keyof InputsOf<E>
  ? { readonly [name: string]: SourceOf<S, unknown> }
  : { readonly [N in keyof InputsOf<E>]: SourceOf<S, InputsOf<E>[N]> };
type StepNames<S> = (keyof S & string) | readonly (keyof S & string)[];
/**
 * The checks of a pipeline's steps: `inputs` name steps whose results fit, no input that a step
 * needs is missing, `params` fit, and `after` names steps.
 */
type CheckedSteps<S> = {
  readonly [K in keyof S]: ([RequiredKeys<InputsOf<S[K]>>] extends [never]
    ? { readonly inputs?: CheckedInputs<S, S[K]> | undefined }
    : { readonly inputs: CheckedInputs<S, S[K]> }) &
    CheckedParams<S[K]> & { readonly after?: StepNames<S> | undefined };
};

/**
 * The keys of a pipeline, as in a pipeline file (docs/pipeline-files.md), without `steps`.
 * Functions may stand where a file names modules.
 */
export type PipelineSettings = Omit<PipelineDefinition, "steps" | "hooks"> & {
  readonly hooks?: PipelineHooks | undefined;
};

/** What {@link pipeline} returns. A pipeline's file exports it by default. */
export interface Pipeline<S = unknown> extends PipelineSettings {
  readonly steps?: S;
}

/**
 * Defines a pipeline. The file's default export has to be what this returns.
 *
 * The compiler checks the type of each input against the step that it names, and each param against
 * the step that gets it. All other rules are those of a pipeline file. They are checked when the
 * file is loaded, and `orchd validate` shows what is wrong.
 *
 * ```ts
 * import { pipeline, step } from "orchd";
 *
 * export const read = step(async () => ["one", "two"]);
 * export const count = step(({ inputs }: { inputs: { lines: string[] } }) => inputs.lines.length);
 *
 * export default pipeline({
 *   name: "log-digest",
 *   schedule: { cron: "@daily" },
 *   steps: { read: { uses: read }, count: { uses: count, inputs: { lines: "read" } } },
 * });
 * ```
 *
 * @throws TypeError if the definition is not an object
 */
export function pipeline<const S extends { readonly [id: string]: StepEntry }>(
  definition: PipelineSettings & { readonly steps: S & CheckedSteps<S> },
): Pipeline<S> {
  return markDefinition("pipeline", definition, "pipeline({ steps: { … } })");
}

/**
 * A value that `run.map` and `run.product` give to every invocation: what {@link unmapped} returns.
 */
export interface Unmapped<T = unknown> {
  readonly value: T;
}

/**
 * Marks an input of `run.map` or `run.product` as one value: every invocation gets it whole, even
 * if it is an array.
 *
 * ```ts
 * import { dynamicPipeline, step, unmapped } from "orchd";
 *
 * type Numbers = { x: number; y: number };
 * export const add = step(({ inputs }: { inputs: Numbers }) => inputs.x + inputs.y);
 *
 * export default dynamicPipeline({ name: "sums" }, async (run) => {
 *   await run.map(add, { x: [1, 2, 3], y: unmapped(10) }); // [11, 12, 13]
 * });
 * ```
 */
export function unmapped<T>(value: T): Unmapped<T> {
  const made = { value };
  Object.defineProperty(made, UNMAPPED_SYMBOL, { value: true });
  return made;
}

/** Whether {@link unmapped} made this value. */
export function isUnmapped(value: unknown): value is Unmapped {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as Record<symbol, unknown>)[UNMAPPED_SYMBOL] === true
  );
}

/**
 * Copies a definition and marks its kind.
 *
 * @param form how the call should look, for the error
 * @throws TypeError if the definition is not an object
 */
export function markDefinition(
  kind: "pipeline" | "dynamic",
  definition: unknown,
  form: string,
): object {
  if (definition === null || typeof definition !== "object")
    throw new TypeError(`the definition has to be an object: ${form}`);
  const made = { ...definition };
  Object.defineProperty(made, KIND_SYMBOL, { value: kind });
  return made;
}
