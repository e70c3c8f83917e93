/** Whether a pipeline's own ledger says that a run has finished. */
import { ENDED_KEPT } from "../core/pipeline-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { linesBackwards } from "./run-history.ts";

/**
 * Whether the pipeline's ledger calls the run finished. The newest ends are known from its tail;
 * only for an older run are its lines searched.
 *
 * @throws LedgerFormatError; a Node error where a file cannot be read
 */
export function isCalledFinished(store: RunStore, run: string): boolean {
  const { pipeline } = store.parseRunId(run);
  const state = readPipeline(store, pipeline)?.state;
  if (state === undefined || state.active.has(run) || state.queued.has(run)) return false;
  if (state.ended.has(run)) return true;
  return state.ended.size >= ENDED_KEPT && hasEndLine(store, pipeline, run);
}

function hasEndLine(store: RunStore, pipeline: string, run: string): boolean {
  const wanted = Buffer.from(JSON.stringify(run));
  for (const line of linesBackwards(store, pipeline, () => wanted))
    if (line["type"] === "run.finished" && line["run"] === run) return true;
  return false;
}
