/**
 * A pipeline's state as one line of its ledger, written and read back. Members that the format of
 * `pipeline.checkpoint` does not name are added after those that it names. A release before this
 * one wrote fewer of them.
 */
import type { PipelineEvent, PipelineLine } from "./event.ts";
import { aboutIn } from "./pipeline-about.ts";
import {
  ENDED_KEPT,
  rememberRequest,
  silenceIn,
  type ActiveRun,
  type Backfill,
  type LastRun,
  type PipelineState,
} from "./pipeline-state.ts";
import { packSlots, unpackSlots } from "./schedule/slot-list.ts";
import type { Json } from "./snapshot.ts";
import { copyOfTally, tallyOfCounts, type Tally } from "./tally.ts";
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
    ended: [...state.ended].slice(-ENDED_KEPT),
    durations: [...state.durations],
    tally: copyOfTally(state.tally),
    // Always present: it says that retention is told in this ledger from here on.
    prunedUntil: state.prunedUntil === undefined ? null : iso(state.prunedUntil),
    ...state.about,
    ...(state.disturbed === undefined ? {} : { disturbed: { ...state.disturbed } }),
    ...(state.silence === undefined ? {} : { silence: { ...state.silence } }),
  };
}

/** Replaces the state by a checkpoint, which stands for all lines before it. */
export function restoreCheckpoint(
  state: PipelineState,
  line: Extract<PipelineLine, { type: "pipeline.checkpoint" }>,
): void {
  const more = line as Record<string, unknown>;
  if (line.through === undefined) delete state.through;
  else state.through = Date.parse(line.through);
  state.paused = line.paused;
  state.schedules = line.schedules;
  state.counts = { ...line.counts };
  state.last = line.last as LastRun | null;
  restoreTally(state, more["tally"], line.at);
  state.removed = more["removed"] === true;
  state.errors = Array.isArray(more["errors"]) ? (more["errors"] as string[]) : [];
  for (const key of ["digest", "tz", "tzdata", "file", "loadedAt", "pausedBecause"] as const) {
    const value = more[key];
    if (typeof value === "string") state[key] = value;
    else delete state[key];
  }
  state.about = aboutIn(more);
  const since = (more["activeSince"] ?? {}) as Record<string, Omit<ActiveRun, "run">>;
  refill(
    state.active,
    line.active.map((run) => [run, { run, at: line.at, ...since[run] }]),
  );
  state.queued.clear();
  for (const run of line.queued) state.queued.add(run);
  refill(state.decided, Object.entries((more["decided"] ?? {}) as Record<string, "fired">));
  state.covered = (more["covered"] ?? []) as PipelineState["covered"];
  state.recentlyFired.restore(more["recentlyFired"]);
  state.firedAhead.clear();
  for (const key of unpackSlots(more["firedAhead"])) state.firedAhead.add(key);
  for (const id of (more["requests"] ?? []) as string[]) rememberRequest(state, id);
  const backfills = (more["backfills"] ?? []) as Backfill[];
  refill(
    state.backfills,
    backfills.map((backfill) => [backfill.requestId, backfill]),
  );
  if (typeof more["since"] === "string") state.since = Date.parse(more["since"]);
  else delete state.since;
  state.ran = { ...((more["ran"] ?? {}) as Record<string, number>) };
  state.ended.clear();
  for (const run of (more["ended"] ?? []) as string[]) state.ended.add(run);
  state.durations.splice(0, Infinity, ...((more["durations"] ?? []) as number[]));
  const disturbed = more["disturbed"] as PipelineState["disturbed"];
  if (typeof disturbed?.at === "string") state.disturbed = disturbed;
  else delete state.disturbed;
  const silence = silenceIn((more["silence"] ?? {}) as Readonly<Record<string, unknown>>);
  if (silence === undefined) delete state.silence;
  else state.silence = silence;
  if (typeof more["prunedUntil"] === "string") state.prunedUntil = Date.parse(more["prunedUntil"]);
  else delete state.prunedUntil;
  state.linesSinceCheckpoint = 0;
}

function restoreTally(state: PipelineState, tally: unknown, at: string): void {
  if (typeof tally === "object" && tally !== null) {
    state.tally = copyOfTally(tally as Tally);
    return;
  }
  // An older release wrote it.
  state.tally = tallyOfCounts(state.counts);
  state.tally.since = at;
  const { last } = state;
  if (typeof last?.finishedAt === "string") state.tally.ended[last.status] = last.finishedAt;
}

function refill<V>(map: Map<string, V>, entries: Iterable<readonly [string, V]>): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}
