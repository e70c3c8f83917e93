/** Finds the file of a pipeline's name, where no daemon has read the drop folder. */
import { readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { wasInForce, type InForce } from "../core/name-holder.ts";
import { isPipelineFileName } from "../core/pipeline-file-name.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { formatProblem } from "../schedules/problem.ts";

/** A pipeline, or why there is none, in a sentence or more. */
export type FoundPipeline =
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | { readonly ok: false; readonly reason: string };

/** Where to look, and how a file is loaded. */
export interface PipelineSearch {
  /** The drop folder. */
  readonly schedules: string;
  /** The version that the last daemon had in force. */
  readonly inForce: InForce | undefined;
  load(path: string): Promise<LoadResult>;
}

/**
 * Finds a pipeline: in the file that was last in force, then in the file of its name, then in any
 * other.
 */
export async function findPipeline(name: string, search: PipelineSearch): Promise<FoundPipeline> {
  const { schedules, inForce } = search;
  const own = (file: string): boolean => basename(file, extname(file)) === name;
  const held = (file: string): boolean => wasInForce(inForce, file);
  const rank = (file: string): number => (held(file) ? 0 : own(file) ? 1 : 2);
  const files = readdirSync(schedules)
    .filter(isPipelineFileName)
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const others: string[] = [];
  let fault: string | undefined;
  for (const file of files) {
    const result = await search.load(join(schedules, file));
    if (result.ok && result.loaded.name === name) return result;
    if (result.ok) {
      others.push(result.loaded.name);
      continue;
    }
    const errors = result.errors.map(formatProblem).join("\n");
    // The file that holds the name keeps it while it is bad.
    if (held(file)) return { ok: false, reason: errors };
    if (own(file)) fault = errors;
  }
  const near = didYouMean(name, others);
  return {
    ok: false,
    reason: fault ?? `there is no pipeline ${JSON.stringify(name)} in ${schedules}${near}`,
  };
}
