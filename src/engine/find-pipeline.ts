/** Finds the file of a pipeline's name, where no daemon has read the drop folder. */
import { readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { nameHolder, wasInForce, type InForce, type NameClaim } from "../core/name-holder.ts";
import { isPipelineFile } from "../core/pipeline-file-name.ts";
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
 * Finds a pipeline as a daemon would: the file that was last in force holds the name. If there is
 * none, the other files that claim it contest it (core/name-holder.ts).
 */
export async function findPipeline(name: string, search: PipelineSearch): Promise<FoundPipeline> {
  const { schedules, inForce } = search;
  const held = (file: string): boolean => wasInForce(inForce, file);
  const files = readdirSync(schedules, { withFileTypes: true })
    .filter(isPipelineFile)
    .map((entry) => entry.name)
    .sort((a, b) => Number(held(b)) - Number(held(a)) || (a < b ? -1 : 1));
  // A file that says the same as the one that is gone takes its name over: all have to be read.
  const before = inForce?.removed === true ? undefined : inForce?.digest;
  const claims: (NameClaim & { readonly loaded: LoadedPipeline })[] = [];
  const others: string[] = [];
  let fault: string | undefined;
  for (const file of files) {
    const result = await search.load(join(schedules, file));
    if (result.ok && result.loaded.name === name) {
      const { digest } = result.loaded;
      claims.push({ path: file, digest, loaded: result.loaded });
      if (held(file) || before === undefined || digest === before) break;
      continue;
    }
    if (result.ok) {
      others.push(result.loaded.name);
      continue;
    }
    const errors = result.errors.map(formatProblem).join("\n");
    // The file that holds the name keeps it while it is bad.
    if (held(file)) return { ok: false, reason: errors };
    if (basename(file, extname(file)) === name) fault = errors;
  }
  const holder = nameHolder(claims, inForce);
  if (holder !== undefined) return { ok: true, loaded: holder.loaded };
  const near = didYouMean(name, others);
  return {
    ok: false,
    reason: fault ?? `there is no pipeline ${JSON.stringify(name)} in ${schedules}${near}`,
  };
}
