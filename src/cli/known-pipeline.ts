/** Whether there is a pipeline of a name, as far as it can be known without the daemon. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { nearest } from "../core/did-you-mean.ts";
import { RunStore } from "../ledger/run-store.ts";
import { looksLikeFile } from "./ask.ts";
import { unknownError } from "./exit.ts";
import { pipelineFiles } from "../views/pipeline-view.ts";
import type { Roots } from "./roots.ts";

const MOST_BYTES = 1_048_576;

/**
 * Makes sure that a pipeline is known: it has a ledger, or a file in the drop folder is named after
 * it or names it.
 *
 * @throws CliError (exit 3) where it is not
 */
export function requirePipeline(roots: Roots, name: string): void {
  const store = new RunStore(roots.runs);
  if (PIPELINE_NAME.test(name)) {
    if (existsSync(store.pipelineLedger(name))) return;
    const files = pipelineFiles(roots.schedules);
    if (
      files.some((file) => stem(file) === name) ||
      files.some((file) => fileNames(join(roots.schedules, file), name))
    )
      return;
  }
  if (looksLikeFile(name)) {
    throw unknownError(
      `there is no pipeline "${name}": a pipeline is called by its name, not by its file; \`orchd status\` lists the names.`,
    );
  }
  const meant = nearest(name, [...store.pipelines(), ...pipelineFiles(roots.schedules).map(stem)]);
  throw unknownError(
    `there is no pipeline "${name}"${meant === undefined ? "." : `; did you mean "${meant}"?`} \`orchd status\` lists those that there are, in ${roots.root}.`,
  );
}

function stem(file: string): string {
  return file.replace(/\.[a-z]+$/, "");
}

/**
 * A file may name its pipeline itself; whether this one does is the daemon's to say, so that it
 * might is enough here.
 */
function fileNames(path: string, name: string): boolean {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > MOST_BYTES) return false;
    return new RegExp(`name["']?\\s*:\\s*["'\`]?${name}(?![a-z0-9_-])`).test(
      readFileSync(path, "utf8"),
    );
  } catch {
    return false;
  }
}
