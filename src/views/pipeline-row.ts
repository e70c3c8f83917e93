/** One pipeline's row of the Overview: how it stands, whether it needs a person, and why. */
import { FINAL_RUN_STATUSES } from "../core/status.ts";
import type { SlotReason, WholeRow } from "./overview.ts";
import type { PipelineFacts } from "./pipeline-memory.ts";
import type { PipelineView } from "./pipeline-view.ts";
import { countText } from "../core/counted.ts";
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
    lastEnd(view, facts)?.status === "failed" ||
    (facts?.overdue.length ?? 0) > 0 ||
    missedNewest(facts) !== undefined
  );
}

/** How a run ended, and whether one that came after it goes on. */
interface RunEnd {
  readonly run: string;
  readonly status: string;
  readonly because: string | null;
  readonly isBefore: boolean;
}

/**
 * The run that ended last. While the next one goes on nothing is better yet: a pipeline that fails
 * each time would need nobody as long as it runs.
 */
function lastEnd(view: PipelineView, facts: PipelineFacts | undefined): RunEnd | undefined {
  const { lastRun } = view;
  if (lastRun !== null && lastRun.finishedAt !== null) {
    const { run, status, because = null } = lastRun;
    return { run, status, because, isBefore: false };
  }
  const mark = facts?.strip.findLast(({ run, status }) => run !== null && isEnd(status));
  return mark && { run: mark.run!, status: mark.status!, because: mark.because, isBefore: true };
}

function isEnd(status: string | null): boolean {
  return (FINAL_RUN_STATUSES as readonly (string | null)[]).includes(status);
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
  const end = lastEnd(view, facts);
  if (end?.status === "failed") {
    const { run, because, isBefore } = end;
    return isBefore
      ? `the run before failed: ${because ?? "no reason was recorded"}`
      : (because ?? `run ${run} failed`);
  }
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
