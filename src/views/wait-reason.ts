/**
 * What a waiting run waits for now.
 *
 * A run's own ledger says why it was queued. Since then that may have ended: another run may have
 * taken the place, or another limit may hold it. The order of the questions is the daemon's
 * (core/admission.ts): the runs of its own pipeline, then those of its concurrency group, then all.
 */
import { waitsFor, type Load } from "../core/admission.ts";
import { RUN_IDS } from "../core/run-id.ts";
import type { RunState } from "../core/run-state.ts";

/** A pipeline's active runs and its waiting ones, each in the order in which they came. */
export interface OwnRuns {
  readonly active: readonly string[];
  readonly queued: readonly string[];
}

/** What a waiting run's ledger says. */
export interface WaitingRun {
  readonly run: string;
  /** Why it was queued. */
  readonly said: string;
  readonly group?: string | undefined;
  readonly limits?: RunState["limits"];
}

const OF_BACKFILL = /-b\d+$/;
const NO_LIMIT = Number.POSITIVE_INFINITY;

/**
 * What a run waits for now.
 *
 * @param shared the active runs of all pipelines; called only where its own pipeline does not hold
 *   the run
 */
export function reasonNow(
  { run, said, group, limits }: WaitingRun,
  { active, queued }: OwnRuns,
  shared: () => Pick<Load, "groups" | "total">,
): string {
  const alike = (other: string): boolean => OF_BACKFILL.test(other) === OF_BACKFILL.test(run);
  const running = active.filter(alike);
  const ahead = queued.slice(0, Math.max(0, queued.indexOf(run))).filter(alike);
  const lane = limits?.lane ?? (limits === undefined ? 1 : NO_LIMIT);
  const named = said.match(RUN_IDS) ?? [];
  // A ledger of an older release does not tell the limits. A reason that names no run is a limit,
  // and holds as long as the run waits.
  if (limits === undefined && named.length === 0) return said;
  if (running.length >= lane) {
    // The recorded reason holds as long as one of the runs that it names goes on.
    if (named.some((one) => running.includes(one))) return said;
    return running.length === 1
      ? `run ${running[0]!} goes on`
      : `${running.length} runs go on, the oldest is ${running[0]!}`;
  }
  if (running.length + ahead.length >= lane) return `run ${ahead[0]!} waits before it`;
  if (limits !== undefined) {
    const entry = { run, pipeline: "", lane: "", limit: NO_LIMIT, priority: 0, order: 0, group };
    const groups =
      group === undefined || limits.group === undefined ? {} : { [group]: limits.group };
    const because = waitsFor(
      entry,
      { lanes: new Map(), ...shared() },
      { groups, maxActiveRuns: limits.total },
    );
    if (because !== undefined) return because;
  }
  return (
    "its turn, which comes when the daemon is up and a place is free; " +
    `it was queued because ${said}`
  );
}
