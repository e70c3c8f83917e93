/** Finds runs by words of their ids, tags, steps and reasons, in bounded work. */
import type { RunStore } from "../ledger/run-store.ts";
import { mentions } from "./run-list.ts";
import { stateOfRun } from "./run-reading.ts";
import { runStatus } from "../core/run-status.ts";
import { SearchedWords, type RunMatch } from "./searched-words.ts";

/** How many runs are opened for one search, the newest. */
const MOST_OPENED = 2_000;
/** How many are looked at where the words are of an id: then only those that match are opened. */
const MOST_LOOKED = 100_000;

/** `GET /api/v1/search?q`. Times are ISO 8601 in UTC. */
export interface RunSearch {
  /** The newest first. */
  readonly runs: readonly FoundRun[];
  /** How many runs were looked at, and whether there are older ones that were not. */
  readonly looked: number;
  readonly hasMore: boolean;
}

/** A run, and where it matched. */
export interface FoundRun extends RunMatch {
  readonly run: string;
  readonly pipeline: string;
  readonly status: string;
  readonly submittedAt: string;
}

/**
 * The newest runs that some words are about, in any case.
 *
 * @param limit how many at most
 * @throws a Node error where this user may not read the ledgers
 */
export function searchRuns(store: RunStore, text: string, limit: number): RunSearch {
  const words = new SearchedWords(text);
  const runs: FoundRun[] = [];
  let [looked, opened] = [0, 0];
  const pipelines = store.pipelines().filter((pipeline) => words.mayBeOf(pipeline));
  for (const { mention } of mentions(store, pipelines, Number.NEGATIVE_INFINITY)) {
    if (runs.length === limit || opened === MOST_OPENED || looked === MOST_LOOKED)
      return { runs, looked, hasMore: true };
    looked += 1;
    if (words.areOfId && !words.matchesId(mention.run)) continue;
    opened += 1;
    const state = stateOfRun(store, mention.run);
    const match = state && words.match(state);
    if (state === undefined || match === undefined) continue;
    const { run, pipeline, submittedAt } = state;
    runs.push({ run, pipeline, status: runStatus(state).status, submittedAt, ...match });
  }
  return { runs, looked, hasMore: false };
}
