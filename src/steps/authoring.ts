/**
 * What a person writes a pipeline with: `step()`, `pipeline()`, `unmapped()`; `dynamicPipeline()`
 * is in dynamic-pipeline.ts.
 *
 * None of them runs anything. They return a definition with a mark by which a runner recognises it.
 * Marks are registered symbols, because a bundle may hold a second copy of this module.
 */
import { KIND_SYMBOL } from "../core/loaded-definition.ts";
import type { CheckedSettings, CheckedSteps } from "./checked-steps.ts";
import type { Loose, StepContext } from "./context.ts";
import type { PipelineSettings, Step, StepEntry, StepOptions } from "./step-entry.ts";

/** The symbol under which a step carries its parts ({@link StepParts}). */
export const STEP_SYMBOL: symbol = Symbol.for("orchd.step");
/** The symbol under which a dynamic pipeline carries its function. */
export const FUNCTION_SYMBOL: symbol = Symbol.for("orchd.function");
/**
 * The symbol of the global list that collects a module's steps, in order, while it is evaluated.
 */
export const COLLECTOR_SYMBOL: symbol = Symbol.for("orchd.collector");
/** The same for its definitions: what `pipeline()` and `dynamicPipeline()` return. */
export const DEFINITIONS_SYMBOL: symbol = Symbol.for("orchd.definitions");
/**
 * The symbol under which a step without a name carries the stack of its `step()` call,
 * and a definition of a program that of its own call.
 */
export const ORIGIN_SYMBOL: symbol = Symbol.for("orchd.origin");
const UNMAPPED_SYMBOL: symbol = Symbol.for("orchd.unmapped");

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
export function pipeline<
  const S extends { readonly [id: string]: StepEntry },
  const D extends PipelineSettings & { readonly [key: string]: unknown },
>(definition: D & CheckedSettings<D> & { readonly steps: S & CheckedSteps<S> }): Pipeline<S> {
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
  const collector = (globalThis as Record<symbol, unknown>)[DEFINITIONS_SYMBOL];
  if (Array.isArray(collector)) collector.push(made);
  // A program may run it: the file in which it was made is what a runner loads.
  else Object.defineProperty(made, ORIGIN_SYMBOL, { value: bundleStack() });
  return made;
}
