/** Reads what the page's Run shows. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { planRerun } from "../core/rerun.ts";
import type { RunState } from "../core/run-state.ts";
import { bundlesOf } from "../core/snapshot-bundles.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { runGraph } from "./graph.ts";
import type { NoView } from "./no-view.ts";
import { medianOf } from "./pipeline-memory.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { runsBackwards } from "./run-history.ts";
import { durationOf } from "./run-list.ts";
import type { RunPage } from "./run-page.ts";
import { readRun } from "./run-reading.ts";
import { viewNow, type RunView } from "./run-view.ts";
import { StepTimelines } from "./step-timelines.ts";
import { StepValues } from "./step-values.ts";

/** How many runs are shown, itself included. */
const SHOWN = 12;
/** How far back in the pipeline's history a run is looked for. */
const MOST_RUNS = 2_000;

/**
 * A run with all that its ledger says.
 *
 * @throws a Node error where its ledger cannot be read
 */
export function readRunPage(
  store: RunStore,
  run: string,
): { readonly ok: true; readonly page: RunPage } | NoView {
  const timelines = new StepTimelines();
  const reading = readRun(store, run, undefined, (line) => timelines.take(line));
  if (!reading.ok) return reading;
  const { state, fault } = reading;
  const view = viewNow(store, reading);
  const values = new StepValues(state);
  const page: RunPage = {
    ...view,
    steps: view.steps.map((step) => {
      const it = state.steps.get(step.step)!;
      return {
        ...step,
        timeline: timelines.of(step.step),
        source: it.source ?? null,
        inputs: values.inputs(it),
        outputs: values.outputs(it),
      };
    }),
    params: state.params,
    tags: state.tags,
    lateMs: latenessOf(state),
    durationMs: state.finished?.durationMs ?? durationOf(view),
    usual: usualOf(store, state.pipeline),
    before: runsBefore(store, view),
    rerun: rerunOf(store, state),
    ledger: {
      file: relative(store.runsDir, store.runLedger(run)),
      lines: state.lastSeq,
      fault: fault ?? null,
    },
    graph: runGraph(state),
  };
  return { ok: true, page };
}

function latenessOf({ trigger, startedAt }: RunState): number | null {
  const { kind, scheduledFor } = trigger;
  if (startedAt === undefined || scheduledFor === undefined) return null;
  if (kind !== "schedule" && kind !== "catch_up") return null;
  return Math.max(0, Date.parse(startedAt) - Date.parse(scheduledFor));
}

function usualOf(store: RunStore, pipeline: string): RunPage["usual"] {
  try {
    const durations = readPipeline(store, pipeline)?.state.durations ?? [];
    return { medianMs: medianOf(durations), runs: durations.length };
  } catch {
    // The run can be shown although its pipeline's ledger cannot be read.
    return { medianMs: null, runs: 0 };
  }
}

function runsBefore(store: RunStore, view: RunView): RunPage["before"] {
  const { run, pipeline, status } = view;
  const before = [{ run, status, durationMs: durationOf(view) }];
  let looked = 0;
  let isReached = false;
  try {
    for (const mention of runsBackwards(store, pipeline)) {
      looked += 1;
      if (isReached)
        before.push({
          run: mention.run,
          status: mention.status ?? "running",
          durationMs: mention.workedMs ?? null,
        });
      if (mention.run === run) isReached = true;
      if (before.length === SHOWN || looked === MOST_RUNS) break;
    }
  } catch {
    // As above.
  }
  return before.toReversed();
}

/** What a re-run of what failed would reuse. The daemon has the last word: the file may be gone. */
function rerunOf(store: RunStore, state: RunState): RunPage["rerun"] {
  if (state.finished === undefined) return null;
  const { snapshot } = state;
  for (const sha of bundlesOf(snapshot))
    if (!existsSync(join(store.bundles, `${sha}.mjs`))) return null;
  const planned = planRerun(state, snapshot, { failed: true });
  return planned.ok ? { reused: Object.keys(planned.reuse).length, steps: state.steps.size } : null;
}
