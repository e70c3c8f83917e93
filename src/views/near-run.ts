/** Finds a run that is asked for; one that is not there is answered with a near one. */
import { nearest } from "../core/did-you-mean.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { unknown, type NoView } from "./no-view.ts";
import { runsBackwards } from "./run-history.ts";
import { findRun, pipelineOfRun, readRun, type RunReading } from "./run-reading.ts";

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

/**
 * A run's ledger, read and folded.
 *
 * @param until lines after this moment (milliseconds since 1970) are left out
 * @throws a Node error where the file cannot be read
 */
export function readRunNear(store: RunStore, run: string, until?: number): RunReading | NoView {
  const found = findRun(store, run);
  return found.ok ? readRun(store, run, until) : near(store, run, found);
}

/** The same answer, with the run that was probably meant. */
function near(store: RunStore, run: string, found: NoView): NoView {
  const pipeline = pipelineOfRun(run);
  const names = store.pipelines();
  if (names.includes(run)) return ofPipeline(store, run, found);
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

/** A pipeline's name was given for a run: which run of it is the newest. */
function ofPipeline(store: RunStore, pipeline: string, found: NoView): NoView {
  for (const { run } of runsBackwards(store, pipeline))
    return unknown(
      `"${pipeline}" is a pipeline, and a run is asked for; its newest one is "${run}". ` +
        `\`orchd runs ${pipeline}\` lists them.`,
    );
  return found;
}
