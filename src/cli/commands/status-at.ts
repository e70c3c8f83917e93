/**
 * `orchd status --at TIME`: the past, replayed. Each ledger is folded from its first line to the
 * first that is later (semantics.md 27), so this costs what the history is long; what retention has
 * removed is said to be missing.
 */
import { existsSync } from "node:fs";
import type { PipelineEvent } from "../../core/event.ts";
import {
  emptyPipelineState,
  evolvePipeline,
  type PipelineState,
} from "../../core/pipeline-state.ts";
import { iso } from "../../core/time.ts";
import { readLedger } from "../../ledger/ledger-reader.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, unknownError, usageError, type ExitStatus } from "../exit.ts";
import { requirePipeline } from "../known-pipeline.ts";
import { viewPipeline, type PipelineView } from "../../views/pipeline-view.ts";
import { countText } from "../render.ts";
import { pipelineLedgers } from "../../views/run-history.ts";
import { looksLikeRun, readRun, viewRun } from "../../views/run-view.ts";
import { printRun, printStatus } from "../status-render.ts";
import { parseTime, timeText } from "../time-text.ts";

/** Runs the command. */
export async function statusAt({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const at = parseTime(args.text("at")!, "--at", Date.now());
  if (at > Date.now())
    throw usageError(`--at: ${timeText(at)} is to come; \`orchd next\` shows the coming slots.`);
  const target = args.text("target");
  const store = new RunStore(roots.runs);
  const json = args.flag("json");
  if (target !== undefined && looksLikeRun(target)) {
    const view = viewRun(readRun(store, target, at));
    if (json) terminal.json(view);
    else printRun(terminal, view, at);
    return EXIT.done;
  }
  if (target !== undefined) requirePipeline(roots, target);
  const pipelines: PipelineView[] = [];
  const missing: string[] = [];
  for (const name of target === undefined ? store.pipelines() : [target]) {
    const state = stateAt(store, name, at);
    if (state === undefined) continue;
    const view = viewPipeline(name, { state }, at);
    if (view.removed === true && target === undefined && view.active.length === 0) continue;
    pipelines.push(view);
    missing.push(
      ...[
        ...view.active,
        ...view.queued,
        ...(view.lastRun === null ? [] : [view.lastRun.run]),
      ].filter((run) => !store.exists(run)),
    );
  }
  if (target !== undefined && pipelines.length === 0)
    throw unknownError(`the pipeline "${target}" was not there yet at ${timeText(at)}.`);
  const pruned = [...new Set(missing)];
  if (json) terminal.json({ at: iso(at), daemon: null, pipelines, missing: pruned });
  else {
    printStatus(
      terminal,
      { daemon: null, pipelines },
      target !== undefined,
      at,
      `as the ledgers had it at ${timeText(at)}`,
    );
    if (pruned.length > 0)
      terminal.note(
        `the ledgers of ${countText(pruned.length, "run")} of that time are missing: retention has removed them.`,
      );
  }
  return EXIT.done;
}

/** A pipeline as it was; undefined before its first line. */
function stateAt(store: RunStore, pipeline: string, at: number): PipelineState | undefined {
  let state: PipelineState | undefined;
  for (const path of pipelineLedgers(store, pipeline).toReversed()) {
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
