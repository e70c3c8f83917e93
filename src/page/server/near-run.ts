/** Finds a run that is asked for; one that is not there is answered with a near one. */
import { nearest } from "../../core/did-you-mean.ts";
import { PIPELINE_NAME } from "../../core/run-id.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import { unknown, type NoView } from "../../views/no-view.ts";
import { runsBackwards } from "../../views/run-history.ts";
import { findRun, pipelineOfRun, readRun, type RunReading } from "../../views/run-reading.ts";

/** How many runs of the pipeline are compared with it. */
const MOST_COMPARED = 500;

/** Where a run's ledger is. @throws a Node error where this user may not look */
export function findRunNear(
  store: RunStore,
  run: string,
): { readonly ok: true; readonly path: string } | NoView {
  const found = findRun(store, run);
  return found.ok ? found : near(store, run, found);
}

/** A run's ledger, read and folded. @throws a Node error where the file cannot be read */
export function readRunNear(store: RunStore, run: string): RunReading | NoView {
  const found = findRun(store, run);
  return found.ok ? readRun(store, run) : near(store, run, found);
}

/** The same answer, with the run that was probably meant. */
function near(store: RunStore, run: string, found: NoView): NoView {
  const pipeline = pipelineOfRun(run);
  const names = store.pipelines();
  const named = names.includes(pipeline) ? pipeline : nearest(pipeline, names);
  if (named === undefined || !PIPELINE_NAME.test(named)) return found;
  const known: string[] = [];
  for (const { run: other } of runsBackwards(store, named)) {
    known.push(other);
    if (known.length >= MOST_COMPARED) break;
  }
  const meant = nearest(run, known);
  return meant === undefined
    ? found
    : unknown(
        `there is no run "${run}"; did you mean "${meant}"? ` +
          "`orchd runs` lists those that there are.",
      );
}
