/**
 * The status at a moment of the past (`orchd status --at`). Each pipeline's ledger is folded from
 * its first line to the first that is later (semantics.md 27), so this costs what the history is
 * long. Runs that retention has removed are named as missing.
 */
import { existsSync } from "node:fs";
import type { PipelineEvent } from "../core/event.ts";
import { evolvePipeline } from "../core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../core/pipeline-state.ts";
import { iso } from "../core/time.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { timeText } from "./moment.ts";
import { unknown, unlessDamaged, type NoView } from "./no-view.ts";
import { isHistory, viewPipeline, type PipelineView } from "./pipeline-view.ts";
import { pipelineLedgersOldestFirst } from "./run-history.ts";

/** `orchd status --at TIME --json`. */
export interface PastStatus {
  /** The moment, ISO 8601. */
  readonly at: string;
  readonly daemon: null;
  readonly pipelines: readonly PipelineView[];
  /** Runs of that time whose ledgers are gone. */
  readonly missing: readonly string[];
}

/**
 * All pipelines as they were at `at` (milliseconds since 1970), or one. Of all, those that were
 * removed by then are left out unless a run of theirs went on or waited.
 *
 * @throws a Node error where a ledger cannot be read
 */
export function readPastStatus(
  store: RunStore,
  target: string | undefined,
  at: number,
): { readonly ok: true; readonly view: PastStatus } | NoView {
  return unlessDamaged(() => {
    const pipelines = (target === undefined ? store.pipelines() : [target]).flatMap((name) => {
      const state = stateAt(store, name, at);
      return state === undefined ? [] : [viewPipeline(name, { state }, at)];
    });
    if (target !== undefined && pipelines.length === 0)
      return unknown(`the pipeline "${target}" was not there yet at ${timeText(at)}.`);
    const shown = pipelines.filter((view) => target !== undefined || !isHistory(view));
    const missing = shown.flatMap(runsOf).filter((run) => !store.exists(run));
    const view = { at: iso(at), daemon: null, pipelines: shown, missing: [...new Set(missing)] };
    return { ok: true as const, view };
  });
}

function runsOf({ active, queued, lastRun }: PipelineView): string[] {
  return [...active, ...queued, ...(lastRun === null ? [] : [lastRun.run])];
}

/** A pipeline as it was; undefined before its first line. */
function stateAt(store: RunStore, pipeline: string, at: number): PipelineState | undefined {
  let state: PipelineState | undefined;
  for (const path of pipelineLedgersOldestFirst(store, pipeline)) {
    if (!existsSync(path)) continue;
    readLedger<PipelineEvent>(path, {
      each(line) {
        if (Date.parse(line.at) > at) return false;
        state = evolvePipeline(state ?? emptyPipelineState(), line);
        return undefined;
      },
    });
  }
  return state;
}
