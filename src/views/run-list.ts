/**
 * The newest runs of one or more pipelines (`orchd runs`). The pipelines' histories are merged, so
 * that no more is read than is asked for.
 */
import type { RunState } from "../core/run-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { runsBackwards, type RunMention } from "./run-history.ts";
import { stateOfRun } from "./run-reading.ts";
import { viewRun, type RunView } from "./run-view.ts";

/** One run of `orchd runs --json`. */
export type RunSummary = Omit<RunView, "steps" | "fault"> & {
  /** From its start to its end, in milliseconds; null while either is missing. */
  readonly durationMs: number | null;
  /** How many steps it has. */
  readonly steps: number;
};

/** Which runs are wanted. */
export interface RunFilter {
  /** Undefined: any. */
  readonly status: string | undefined;
  /** Runs made before this moment (milliseconds since 1970) are left out. */
  readonly sinceMs: number;
}

/** A run that a pipeline's ledger mentions. */
export interface PipelineMention {
  readonly pipeline: string;
  readonly mention: RunMention;
}

/** A pipeline's history, read as far as its next run. */
interface Head {
  readonly pipeline: string;
  readonly source: Generator<RunMention>;
  mention: RunMention;
}

/** The newest runs, by when they were made; runs that are gone or cannot be read are left out. */
export function newestRuns(
  store: RunStore,
  pipelines: readonly string[],
  { number, ...filter }: RunFilter & { /** How many at most. */ readonly number: number },
): RunSummary[] {
  const found: RunSummary[] = [];
  if (number > 0)
    for (const run of runsByMention(store, pipelines, filter)) {
      found.push(run);
      if (found.length >= number) break;
    }
  return found.toSorted((a, b) =>
    a.submittedAt < b.submittedAt ? 1 : a.submittedAt > b.submittedAt ? -1 : 0,
  );
}

/**
 * Runs, those first of which a pipeline's ledger spoke last; runs that are gone or cannot be read
 * are left out. No more is read than is asked for.
 */
export function* runsByMention(
  store: RunStore,
  pipelines: readonly string[],
  filter: RunFilter,
): Generator<RunSummary> {
  for (const { mention } of mentions(store, pipelines, filter.sinceMs)) {
    const summary = summarize(store, mention, filter);
    if (summary !== undefined) yield summary;
  }
}

/**
 * The runs that ledgers mention, the newest mention first; of one moment by pipeline.
 *
 * @param sinceMs mentions before this moment (milliseconds since 1970) are left out
 * @param top those after this moment (ISO 8601) are left out too
 */
export function* mentions(
  store: RunStore,
  pipelines: readonly string[],
  sinceMs: number,
  top?: string,
): Generator<PipelineMention> {
  const heads = pipelines.flatMap((pipeline): Head[] => {
    const source = runsBackwards(store, pipeline, { top, sinceMs });
    const first = source.next();
    return first.done === true ? [] : [{ pipeline, source, mention: first.value }];
  });
  try {
    while (heads.length > 0) {
      let best = 0;
      for (let index = 1; index < heads.length; index += 1)
        if (heads[index]!.mention.at > heads[best]!.mention.at) best = index;
      const { pipeline, source, mention } = heads[best]!;
      const next = source.next();
      if (next.done === true) heads.splice(best, 1);
      else heads[best]!.mention = next.value;
      yield { pipeline, mention };
    }
  } finally {
    // A history that was not read to its end still has its file open.
    for (const { source } of heads) source.return(undefined);
  }
}

/**
 * A run in short; undefined where the filter leaves it out, or where it cannot be read.
 *
 * @param isWanted rules out more runs; default: none
 */
export function summarize(
  store: RunStore,
  mention: RunMention,
  { status, sinceMs }: RunFilter,
  isWanted: (state: RunState) => boolean = () => true,
): RunSummary | undefined {
  // The pipeline's ledger tells how a run ended: a run with another end need not be opened.
  if (status !== undefined && mention.status !== undefined && mention.status !== status)
    return undefined;
  const state = stateOfRun(store, mention.run);
  if (state === undefined || !isWanted(state)) return undefined;
  const { steps, ...view } = viewRun({ state });
  if ((status !== undefined && view.status !== status) || Date.parse(view.submittedAt) < sinceMs)
    return undefined;
  return {
    ...view,
    durationMs: durationOf(view),
    steps: steps.length,
  };
}

/** From a run's start to its end, in milliseconds; null while either is missing. */
export function durationOf({
  startedAt,
  finishedAt,
}: {
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}): number | null {
  return startedAt === null || finishedAt === null
    ? null
    : Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt));
}
