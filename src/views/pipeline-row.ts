/** One pipeline's row of the Overview: how it stands, whether it needs a person, and why. */
import type { SlotReason, WholeRow } from "./overview.ts";
import type { PipelineFacts } from "./pipeline-memory.ts";
import type { PipelineView } from "./pipeline-view.ts";
import { countText } from "./counted.ts";
import { durationOf } from "./run-list.ts";

/** The row. @param facts undefined where its ledger is missing or cannot be read */
export function pipelineRow(
  view: PipelineView,
  facts: PipelineFacts | undefined,
  reasons: readonly SlotReason[],
): WholeRow {
  return {
    ...view,
    description: facts?.about.description ?? null,
    tags: facts?.about.tags ?? [],
    timezones: facts?.timezones ?? [],
    needsYou: needsYou(view, facts),
    strip: facts?.strip ?? [],
    lastMs: view.lastRun === null ? null : durationOf(view.lastRun),
    usualMs: facts?.usualMs ?? null,
    because: becauseOf(view, facts, reasons),
  };
}

function needsYou(view: PipelineView, facts: PipelineFacts | undefined): boolean {
  return (
    (!view.valid && view.unread !== true) ||
    view.lastRun?.status === "failed" ||
    (facts?.overdue.length ?? 0) > 0 ||
    missedNewest(facts) !== undefined
  );
}

/** Why its newest slot was missed; undefined where it was not. */
function missedNewest(facts: PipelineFacts | undefined): string | undefined {
  const newest = facts?.strip.findLast(({ decision }) => decision !== "by_hand");
  return newest?.decision === "missed" ? (newest.because ?? "no reason was recorded") : undefined;
}

function becauseOf(
  view: PipelineView,
  facts: PipelineFacts | undefined,
  reasons: readonly SlotReason[],
): string | null {
  const [error] = view.errors;
  if (error !== undefined) return error;
  if (view.removed === true) return "its file was removed, and its last runs go on";
  const overdue = facts?.overdue[0];
  if (overdue !== undefined) return `run ${overdue} takes far longer than its history`;
  if (view.lastRun?.status === "failed")
    return view.lastRun.because ?? `run ${view.lastRun.run} failed`;
  if (view.paused) return `it is paused: ${facts?.pausedBecause ?? "no reason was recorded"}`;
  const missed = missedNewest(facts);
  if (missed !== undefined) return `its newest slot was missed: ${missed}`;
  if (view.waiting?.[0] !== undefined) {
    const { run, because } = view.waiting[0];
    return `run ${run} waits: ${because}`;
  }
  const [most] = reasons.filter(({ decision }) => decision === "missed").concat(reasons);
  return most === undefined
    ? null
    : `${countText(most.slots, "slot was", "slots were")} ${most.decision}: ${most.because}`;
}
