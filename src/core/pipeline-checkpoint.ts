/**
 * A pipeline's state as one line of its ledger; pipeline-state.ts reads it back. Members that the
 * format of `pipeline.checkpoint` does not name are added after those that it names.
 */
import type { PipelineEvent } from "./event.ts";
import type { PipelineState } from "./pipeline-state.ts";
import { packSlots } from "./schedule/slot-list.ts";
import type { Json } from "./snapshot.ts";
import { copyOfTally } from "./tally.ts";
import { iso } from "./time.ts";

/** The checkpoint of a state. A ledger with this one line folds to the same state. */
export function checkpointOf(
  state: PipelineState,
): Extract<PipelineEvent, { type: "pipeline.checkpoint" }> {
  return {
    type: "pipeline.checkpoint",
    ...(state.through === undefined ? {} : { through: iso(state.through) }),
    paused: state.paused,
    schedules: [...state.schedules],
    active: [...state.active.keys()],
    queued: [...state.queued],
    last: state.last as Json,
    counts: { ...state.counts },
    digest: state.digest,
    tz: state.tz,
    tzdata: state.tzdata,
    file: state.file,
    loadedAt: state.loadedAt,
    removed: state.removed,
    errors: state.errors,
    pausedBecause: state.pausedBecause,
    activeSince: Object.fromEntries(
      [...state.active.values()].map(({ run, ...rest }) => [run, rest]),
    ),
    decided: Object.fromEntries(state.decided),
    covered: [...state.covered],
    firedAhead: packSlots(state.firedAhead),
    recentlyFired: state.recentlyFired.pack(),
    requests: [...state.requests].slice(-64),
    backfills: [...state.backfills.values()],
    ...(state.since === undefined ? {} : { since: iso(state.since) }),
    ran: { ...state.ran },
    ended: [...state.ended].slice(-64),
    durations: [...state.durations],
    tally: copyOfTally(state.tally),
    // Always present: it says that retention is told in this ledger from here on.
    prunedUntil: state.prunedUntil === undefined ? null : iso(state.prunedUntil),
    ...state.about,
    ...(state.disturbed === undefined ? {} : { disturbed: { ...state.disturbed } }),
    ...(state.silence === undefined ? {} : { silence: { ...state.silence } }),
  };
}
