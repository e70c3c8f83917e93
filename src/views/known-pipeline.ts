/** Whether there is a pipeline of a name, as far as files and ledgers can tell. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { nearest } from "../core/did-you-mean.ts";
import { nameOfFile } from "../core/pipeline-file-name.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { RunStore } from "../ledger/run-store.ts";
import { unknown, type NoView } from "./no-view.ts";
import { pipelineFiles } from "./pipeline-file-list.ts";
import type { Roots } from "./roots.ts";

const MOST_BYTES = 1_048_576;

/**
 * Whether a pipeline is known: it has a ledger, or a file in the drop folder is named after it or
 * seems to name it. Where it is not known, the answer names one that is near.
 */
export function knownPipeline(roots: Roots, name: string): { readonly ok: true } | NoView {
  const store = new RunStore(roots.runs);
  const isName = PIPELINE_NAME.test(name);
  if (isName && existsSync(store.pipelineLedger(name))) return { ok: true };
  if (looksLikeFile(name))
    return unknown(
      `there is no pipeline "${name}": a pipeline is called by its name, not by its file; ` +
        "`orchd status` lists the names.",
    );
  const files = pipelineFiles(roots.schedules);
  if (
    isName &&
    files.some(
      (file) => nameOfFile(file) === name || mayNamePipeline(join(roots.schedules, file), name),
    )
  )
    return { ok: true };
  const near = nearest(name, [...store.pipelines(), ...files.map(nameOfFile)]);
  const meant = near === undefined ? "." : `; did you mean "${near}"?`;
  return unknown(
    `there is no pipeline "${name}"${meant} ` +
      `\`orchd status\` lists those that there are, in ${roots.root}.`,
  );
}

/** Whether a text could be a file's rather than a pipeline's name, which holds no dot or slash. */
function looksLikeFile(text: string): boolean {
  return isAbsolute(text) || /[/\\]|\.(?:ya?ml|json|m?[tj]s)$/.test(text);
}

/**
 * Whether a file may name its pipeline so. The daemon alone can say whether it does: here the text
 * is enough.
 */
export function mayNamePipeline(path: string, name: string): boolean {
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
