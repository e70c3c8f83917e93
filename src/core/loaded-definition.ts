/**
 * What a runner returns when it has evaluated a pipeline written in code.
 *
 * A function cannot leave the runner. A {@link CodeMark} stands for it and says how to find it
 * again in the same bundle. The rest of the definition is the same JSON as in a YAML file, and the
 * same schema checks it.
 */
import type { Json } from "./snapshot.ts";

/** Stands for a function (or a `step()`) of the definition. */
export interface CodeMark {
  /**
   * A `CodeRef.pick`: `step:NAME`, `hook:NAME`, `hook:NAME:STEP`, `cache:STEP`, `function`, or
   * `export:NAME`.
   */
  readonly $code: string;
  /** The function's own name, for messages. */
  readonly name?: string | undefined;
}

/** A description of a module's default export. */
export interface LoadedDefinition {
  /** What `pipeline()` or `dynamicPipeline()` made. */
  readonly kind: "pipeline" | "dynamic";
  /**
   * The definition as JSON. {@link CodeMark}s stand for functions: at `steps.X.uses`, in `hooks`
   * and at `cache.cacheFunction`.
   */
  readonly definition: { readonly [key: string]: Json };
}

/**
 * The symbol under which the objects that `pipeline()` and `dynamicPipeline()` return carry their
 * kind.
 */
export const KIND_SYMBOL: symbol = Symbol.for("orchd.kind");

/**
 * The symbol under which a thread has what `openRoot` gives there: a program's file is loaded in it
 * for the definitions that the program makes, and must not open a root.
 */
export const OPENING_SYMBOL: symbol = Symbol.for("orchd.opening");
