/**
 * What comes back when a pipeline written in code is evaluated in a runner.
 *
 * Functions cannot leave the runner, so each stands as a {@link CodeMark} that says how to find it
 * again in the same bundle. The rest of the definition is the same JSON that a YAML file gives, and
 * goes through the same schema.
 */
import type { Json } from "./snapshot.ts";

/** Stands where the definition had a function (or a `step()`). */
export interface CodeMark {
  /**
   * A `CodeRef.pick`: `step:NAME`, `hook:NAME`, `hook:NAME:STEP`, `cache:STEP`, `function`, or
   * `export:NAME`.
   */
  readonly $code: string;
  /** The function's own name, for messages. */
  readonly name?: string | undefined;
}

/** A module's default export, described. */
export interface LoadedDefinition {
  /** What `pipeline()` or `dynamicPipeline()` made. */
  readonly kind: "pipeline" | "dynamic";
  /**
   * The definition as JSON, in which {@link CodeMark}s stand for functions: at `steps.X.uses`, in
   * `hooks` and at `cache.cacheFunction`.
   */
  readonly definition: { readonly [key: string]: Json };
}

/**
 * The symbol under which the object that `pipeline()` and `dynamicPipeline()` give carries its
 * kind.
 */
export const KIND_SYMBOL: symbol = Symbol.for("orchd.kind");
