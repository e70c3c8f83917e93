/**
 * What a person writes with: `step()`, `pipeline()`, `unmapped()`; and in dynamic-pipeline.ts
 * `dynamicPipeline()`.
 *
 * None of them does anything: they give a definition back, marked so that a runner recognises it.
 * Marks are registered symbols, because a bundle may hold a second copy of this module.
 */
import { KIND_SYMBOL } from "../core/loaded-definition.ts";
import type { PipelineDefinition, StepDefinition } from "../core/pipeline.ts";
import type { CacheContext, HookContext, Loose, StepContext } from "./context.ts";

/** The symbol under which a step carries what it was made of. */
export const STEP_SYMBOL: symbol = Symbol.for("orchd.step");
/** The symbol under which a dynamic pipeline carries its function. */
export const FUNCTION_SYMBOL: symbol = Symbol.for("orchd.function");
/**
 * The symbol under which, while a module is evaluated, the steps it makes are collected in order.
 */
export const COLLECTOR_SYMBOL: symbol = Symbol.for("orchd.collector");
/** The symbol under which a step without a name carries the stack of the call that made it. */
export const ORIGIN_SYMBOL: symbol = Symbol.for("orchd.origin");
const UNMAPPED_SYMBOL: symbol = Symbol.for("orchd.unmapped");

/** A value that has come through JSON: a date is text, what has `toJSON` is what that gives. */
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

/** A function in the place of a module's name. */
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

/** A step's keys, as in a pipeline file, with functions where a file names modules. */
export type StepSettings = Omit<StepDefinition, "uses" | "run" | "cache" | "hooks"> & {
  readonly cache?: CacheDefinition | undefined;
  readonly hooks?: StepHooks | undefined;
};

/**
 * What `step()` takes besides the function: what holds wherever the step is used, unless a pipeline
 * says otherwise there.
 */
export type StepOptions = Omit<StepSettings, "inputs" | "after" | "when"> & {
  readonly name?: string | undefined;
};

/**
 * A step written in code.
 *
 * @typeParam P its params
 * @typeParam I its inputs
 * @typeParam O what it returns
 */
export interface Step<P = Loose, I = Loose, O = unknown> {
  /** The function itself, so that a test can call it. */
  (context: StepContext<P, I>): Promise<O>;
  readonly [STEP_TYPES]?: { readonly params: P; readonly inputs: I; readonly output: O };
}
declare const STEP_TYPES: unique symbol;

/** What a step was made of. */
export interface StepParts {
  readonly run: (context: StepContext) => unknown;
  readonly options: StepOptions;
}

/**
 * Makes a step of a function.
 *
 * ```ts
 * export const read = step(async ({ params }: StepContext<{ path: string }>) => readFile(params.path, "utf8"));
 * ```
 *
 * It is named by its export, else by its function's name; `options.name` overrides both.
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
    // `export const read = step(async () => …)` in a helper module: only the place of the call
    // tells the name.
    if (made.name === "") Object.defineProperty(made, ORIGIN_SYMBOL, { value: new Error().stack });
  }
  return made;
}

/** What a step was made of; undefined for anything else. */
export function stepParts(value: unknown): StepParts | undefined {
  return typeof value === "function"
    ? (value as unknown as Record<symbol, StepParts | undefined>)[STEP_SYMBOL]
    : undefined;
}

type AnyStep = Step<never, never>;
type AnyFunction = (context: never) => unknown;

/** A step of a pipeline in code. */
export type StepEntry = StepSettings & {
  readonly uses?: string | AnyStep | AnyFunction | undefined;
  readonly run?: string | undefined;
};

/** The keys that a value of this type has to have; none where any name will do. */
export type RequiredKeys<T> = string extends keyof T
  ? never
  : { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];
/**
 * A value as a pipeline may write it: itself, a text with `${params.NAME}` or `${run.…}` in it, or
 * a secret's name.
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
 * Params may be left out, since `step()` may have given them; none may be one that the step does
 * not know.
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
/** Every way to name a result whose type fits T: `step`, or `step.output` for a declared output. */
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
 * Each step's `inputs` name steps whose results fit, and none that it needs is left out; its
 * `params` fit; `after` names steps.
 */
type CheckedSteps<S> = {
  readonly [K in keyof S]: ([RequiredKeys<InputsOf<S[K]>>] extends [never]
    ? { readonly inputs?: CheckedInputs<S, S[K]> | undefined }
    : { readonly inputs: CheckedInputs<S, S[K]> }) &
    CheckedParams<S[K]> & { readonly after?: StepNames<S> | undefined };
};

/** A pipeline's keys, as in a pipeline file, but for its steps. */
export type PipelineSettings = Omit<PipelineDefinition, "steps" | "hooks"> & {
  readonly hooks?: PipelineHooks | undefined;
};

/** What `pipeline()` gives: default-export it. */
export interface Pipeline<S = unknown> extends PipelineSettings {
  readonly steps?: S;
}

/**
 * Defines a pipeline. The types of inputs are checked against the steps that they name, and params
 * against the step that gets them.
 *
 * ```ts
 * export default pipeline({ name: "log-digest", schedule: { cron: "@daily" }, steps: { read: { uses: read } } });
 * ```
 */
export function pipeline<const S extends { readonly [id: string]: StepEntry }>(
  definition: PipelineSettings & { readonly steps: S & CheckedSteps<S> },
): Pipeline<S> {
  return markDefinition("pipeline", definition, "pipeline({ steps: { … } })");
}

/** A value that `run.map` and `run.product` give to every invocation as it is. */
export interface Unmapped<T = unknown> {
  readonly value: T;
}

/** Keeps an array from being mapped over: every invocation gets the whole value. */
export function unmapped<T>(value: T): Unmapped<T> {
  const made = { value };
  Object.defineProperty(made, UNMAPPED_SYMBOL, { value: true });
  return made;
}

/** Whether {@link unmapped} made it. */
export function isUnmapped(value: unknown): value is Unmapped {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as Record<symbol, unknown>)[UNMAPPED_SYMBOL] === true
  );
}

/**
 * A definition with the mark of its kind. @throws TypeError that shows the `form` it should have
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
