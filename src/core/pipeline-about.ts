/**
 * What a pipeline's file says about the pipeline, for people: what it is for, words to find it by,
 * the params that a run may be given, and who is told of it. It is recorded when the file is
 * loaded, so a reader of ledgers needs no file.
 */
import { defined } from "./defined.ts";
import { isObject } from "./json-object.ts";
import type { LoadedPipeline } from "./loaded-pipeline.ts";
import type { Json } from "./snapshot.ts";

/** Params with more characters than this as JSON are not recorded: each checkpoint repeats them. */
const MOST_PARAMS = 16_384;

/** As the ledger records it. */
export interface PipelineAbout {
  readonly description?: string | undefined;
  /** Undefined where a release wrote the ledger that did not record any of this. */
  readonly tags?: string[] | undefined;
  /** The declared params with their defaults; a secret is `{secret: NAME}`. */
  readonly params?: { [key: string]: Json } | undefined;
  /** `notify:` as written; undefined: orchd.yaml's rules hold. */
  readonly notify?: Json | undefined;
}

/** What the ledger records of a file that was loaded. */
export function aboutOf({ snapshot, tags, params, notify }: LoadedPipeline): PipelineAbout {
  const isShort = JSON.stringify(params).length <= MOST_PARAMS;
  return {
    ...defined({ description: snapshot.description }),
    tags: [...tags],
    ...(isShort ? { params: { ...params } } : {}),
    ...defined({ notify: notify as Json | undefined }),
  };
}

/** The same from a line or a checkpoint, whose fields may be missing or of another kind. */
export function aboutIn(line: Readonly<Record<string, unknown>>): PipelineAbout {
  const { description, tags, params, notify } = line;
  return defined({
    description: typeof description === "string" ? description : undefined,
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : undefined,
    params: isObject(params) ? (params as { [key: string]: Json }) : undefined,
    notify: notify === null ? undefined : (notify as Json | undefined),
  });
}
