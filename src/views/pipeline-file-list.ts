/** The pipeline files in a folder. */
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { isPipelineFile, nameOfFile } from "../core/pipeline-file-name.ts";
import type { PipelineView } from "./pipeline-view.ts";

/** The names of the pipeline files at a folder's top level; none where it is missing. */
export function pipelineFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(isPipelineFile)
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Files in the drop folder that no ledger speaks of: no daemon that was up has read them. */
export function unreadFiles(schedules: string, views: readonly PipelineView[]): string[] {
  const known = new Set(views.flatMap((view) => (view.file === null ? [] : [basename(view.file)])));
  const named = new Set(views.map((view) => view.name));
  return pipelineFiles(schedules).filter(
    (file) => !known.has(file) && !named.has(nameOfFile(file)),
  );
}
