/**
 * A pipeline as a fold over its own ledger: what is in force, how far its slots are decided, which
 * runs are active.
 *
 * `through` is the watermark: every slot that is due up to this time has its decision. Lines of
 * equal due time are one write, and the last line carries the watermark. So a torn write leaves
 * slots that have a line although the watermark is still before them: `decided` keeps them until
 * the watermark passes. A backward clock step moves the watermark back: `firedAhead` keeps the
 * slots after it that fired, since a slot never fires twice. A checkpoint holds all of this, so
 * nobody reads further back than the last one.
 *
 * It stays one file: the fold has a case an event, and what each case changes is read beside it.
 */
import { defined } from "./defined.ts";
import type { PipelineEvent, PipelineLine } from "./event.ts";
import { aboutIn, type PipelineAbout } from "./pipeline-about.ts";
import { RecentlyFired } from "./schedule/recently-fired.ts";
import { slotOfKey, unpackSlots } from "./schedule/slot-list.ts";
import type { Json } from "./snapshot.ts";
import {
  copyOfTally,
  emptyTally,
  tallyOfCounts,
  tallyRun,
  tallySlot,
  type Tally,
} from "./tally.ts";

/** How much of the reason of a run's end is remembered, in characters. */
const REASON_CHARACTERS = 300;

/** A pipeline's newest run: how it ended, or that it is still active. */
export interface LastRun {
  readonly run: string;
  readonly status: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** Why it failed or was stopped. */
  readonly because?: string;
}

/** A run that has begun and not ended, by the pipeline's ledger. */
export interface ActiveRun {
  readonly run: string;
  /** The time of its first line in this ledger. */
  readonly at: string;
  readonly startedAt?: string;
  /** A `slot.late` line says that the run has not started within its slot's grace. */
  readonly late?: true;
  /** A `run.overdue` line says that the run takes too long. */
  readonly overdue?: true;
}

/** That nobody is told of a pipeline for some time. */
export interface PipelineSilence {
  /** ISO 8601, UTC. */
  readonly until: string;
  readonly because?: string;
  readonly by?: string;
}

/** A backfill that was accepted. */
export interface Backfill {
  readonly requestId: string;
  readonly from: string;
  readonly to: string;
  readonly which: string;
  readonly maxActive?: number;
  /** The name of the one schedule whose slots it runs. Undefined: the slots of all schedules. */
  readonly schedule?: string;
  /** Params that override the pipeline's and the schedule's. */
  readonly params?: { readonly [key: string]: Json };
}

/**
 * How many slots and runs there were of each kind: `fired caughtUp skipped missed backfilled
 * completed failed stopped cached`.
 */
export type PipelineCounts = Record<string, number>;

/** A pipeline, folded from its ledger. */
export interface PipelineState {
  /** The watermark, in milliseconds since 1970. Undefined before the first load. */
  through?: number;
  paused: boolean;
  pausedBecause?: string;
  /** Nobody is told of the pipeline until then; it may have passed. */
  silence?: PipelineSilence;
  /** The schedules in force, as `pipeline.loaded` recorded them. */
  schedules: readonly Json[];
  digest?: string;
  tz?: string;
  tzdata?: string;
  file?: string;
  loadedAt?: string;
  /** What the file in force says for people. */
  about: PipelineAbout;
  /** Why the newest version of the file was refused. Empty if it was accepted. */
  errors: readonly string[];
  removed: boolean;
  readonly active: Map<string, ActiveRun>;
  readonly queued: Set<string>;
  last: LastRun | null;
  counts: PipelineCounts;
  /** What metrics count. */
  tally: Tally;
  /**
   * Slots that have a line and that the watermark has not passed: `SLOT` or `SLOT.SCHEDULE`, with
   * SLOT in ISO 8601.
   */
  readonly decided: Map<string, "fired" | "skipped" | "missed">;
  /**
   * Stretches of missed slots that share a line, where jitter makes some slots due after the
   * watermark. Each is its first and last slot, in milliseconds since 1970.
   */
  covered: readonly (readonly [first: number, last: number])[];
  /** Slots that fired and that a backward step put after the watermark again. */
  readonly firedAhead: Set<string>;
  /** Backfills that were accepted and have not ended, by request id. */
  readonly backfills: Map<string, Backfill>;
  /** Ids of requests whose effect this ledger holds. Newest last, bounded. */
  readonly requests: Set<string>;
  /** Slots that fired recently, for `firedAhead`. Bounded. */
  readonly recentlyFired: RecentlyFired;
  /** The schedules in force count slots after this moment, in milliseconds since 1970. */
  since?: number;
  /**
   * How many runs each schedule has had since it came into force, by its name (`` for a schedule
   * without one). `stopAfter` counts these.
   */
  ran: Record<string, number>;
  /**
   * Runs that ended recently. Newest last, bounded. A run that is neither active nor here was never
   * recorded.
   */
  readonly ended: Set<string>;
  /**
   * How long the last completed runs were worked on, in milliseconds. Newest last, bounded.
   * `run.overdue` is decided by these: time without a daemon says nothing about a pipeline.
   */
  readonly durations: number[];
  /** When somebody last touched ledgers under the daemon, and what became of it. */
  disturbed?: { readonly at: string; readonly because: string };
  /**
   * The newest slot, or time of asking, among the runs that retention removed; milliseconds since
   * 1970.
   */
  prunedUntil?: number;
  linesSinceCheckpoint: number;
  lastSeq: number;
}

/**
 * How many request ids are remembered. The reply answers for an older one: it lives for an hour.
 */
const REQUESTS_KEPT = 512;
/**
 * How many slots a clock may go back before the ledger must be read again: a day and a half of
 * minutely slots.
 */
const FIRED_KEPT = 2048;
const ENDED_KEPT = 512;
const DURATIONS_KEPT = 100;

/** A pipeline before its first line. */
export function emptyPipelineState(): PipelineState {
  return {
    paused: false,
    schedules: [],
    about: {},
    errors: [],
    removed: false,
    active: new Map(),
    queued: new Set(),
    last: null,
    counts: {},
    tally: emptyTally(),
    decided: new Map(),
    covered: [],
    firedAhead: new Set(),
    backfills: new Map(),
    requests: new Set(),
    recentlyFired: new RecentlyFired(FIRED_KEPT),
    ran: {},
    ended: new Set(),
    durations: [],
    linesSinceCheckpoint: 0,
    lastSeq: 0,
  };
}

/** The key of a slot in `decided` and `firedAhead`. */
export function slotKey(slot: string, schedule?: string): string {
  return schedule === undefined ? slot : `${slot}.${schedule}`;
}

/**
 * The state after one more line. Changes `state` in place and returns it. An unknown event changes
 * nothing but the position.
 */
// oxlint-disable-next-line max-lines-per-function -- the fold: a case an event
export function evolvePipeline(state: PipelineState, line: PipelineLine): PipelineState {
  state.lastSeq = line.seq;
  state.linesSinceCheckpoint += 1;
  state.tally.since ??= line.at;
  const requestId = (line as { requestId?: unknown }).requestId;
  if (typeof requestId === "string") remember(state, requestId);
  switch (line.type) {
    case "pipeline.loaded":
      state.schedules = line.schedules;
      state.digest = line.digest;
      state.tz = line.tz;
      state.tzdata = line.tzdata;
      if (line.file !== undefined) state.file = line.file;
      state.loadedAt = line.at;
      state.about = aboutIn(line);
      state.errors = [];
      state.removed = false;
      state.through ??= Date.parse(line.at);
      moveWatermark(state, line.through);
      countFrom(state, line.since);
      break;
    case "pipeline.invalid":
      state.errors = line.errors;
      // Nothing else is known of a pipeline that was never valid.
      if (state.file === undefined && line.file !== undefined) state.file = line.file;
      break;
    case "pipeline.removed":
      state.removed = true;
      state.errors = [];
      break;
    case "pipeline.paused":
      state.paused = true;
      if (line.because !== undefined) state.pausedBecause = line.because;
      break;
    case "pipeline.resumed":
      state.paused = false;
      delete state.pausedBecause;
      break;
    case "pipeline.silenced":
      setSilence(state, line);
      break;
    case "slot.fired":
    case "slot.caught_up":
      count(state, line.type === "slot.fired" ? "fired" : "caughtUp");
      tallySlot(state.tally, line.type === "slot.fired" ? "fired" : "caught_up", line.latenessMs);
      decide(state, line, "fired");
      countRun(state, line);
      // A shadow pipeline's slot has no run.
      if (line.shadow !== true) note(state, line.run, line.at);
      break;
    case "slot.skipped":
    case "slot.missed":
      count(state, line.type === "slot.skipped" ? "skipped" : "missed");
      tallySlot(state.tally, line.type === "slot.skipped" ? "skipped" : "missed");
      decide(state, line, line.type === "slot.skipped" ? "skipped" : "missed");
      break;
    case "slot.backfilled":
      count(state, "backfilled");
      tallySlot(state.tally, "backfilled");
      note(state, line.run, line.at);
      break;
    case "clock.stepped":
      stepBack(state, line);
      break;
    case "run.queued":
      note(state, line.run, line.at);
      state.queued.add(line.run);
      break;
    case "run.started":
      state.queued.delete(line.run);
      state.active.set(line.run, {
        at: line.at,
        ...state.active.get(line.run),
        run: line.run,
        startedAt: line.at,
      });
      state.last = { run: line.run, status: "running", startedAt: line.at, finishedAt: null };
      break;
    case "run.finished":
      finishRun(state, line);
      break;
    case "backfill.started":
      state.backfills.set(line.requestId, backfillOf(line));
      break;
    case "backfill.finished":
      state.backfills.delete(line.requestId);
      break;
    case "pipeline.checkpoint":
      restore(state, line);
      break;
    case "ledger.disturbed":
      state.disturbed = { at: line.at, because: line.because };
      break;
    case "slot.late":
      if (line.run !== undefined) mark(state, line.run, { late: true });
      break;
    case "run.overdue":
      mark(state, line.run, { overdue: true });
      break;
    case "runs.pruned":
      notePruning(state, line.until);
      break;
    case "request.noted":
      break;
  }
  return state;
}

function remember(state: PipelineState, requestId: string): void {
  state.requests.delete(requestId);
  state.requests.add(requestId);
  if (state.requests.size > REQUESTS_KEPT)
    state.requests.delete(state.requests.values().next().value!);
}

/**
 * Counts runs from zero if `since` changed: then the schedules changed, and the old counts belong
 * to the old text.
 */
function countFrom(state: PipelineState, since: unknown): void {
  const from = typeof since === "string" ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(from) || from === state.since) return;
  state.since = from;
  state.ran = {};
}

function countRun(
  state: PipelineState,
  line: { readonly schedule?: string | undefined; readonly of?: string | undefined },
): void {
  const key = line.schedule ?? line.of ?? "";
  state.ran[key] = (state.ran[key] ?? 0) + 1;
}

function count(state: PipelineState, kind: string): void {
  state.counts[kind] = (state.counts[kind] ?? 0) + 1;
}

function note(state: PipelineState, run: string, at: string): void {
  if (!state.active.has(run)) state.active.set(run, { run, at });
}

function mark(state: PipelineState, run: string, said: Pick<ActiveRun, "late" | "overdue">): void {
  const active = state.active.get(run);
  if (active !== undefined) state.active.set(run, { ...active, ...said });
}

function decide(
  state: PipelineState,
  line: {
    readonly slot: string;
    readonly schedule?: string | undefined;
    readonly through?: string | undefined;
  },
  what: "fired" | "skipped" | "missed",
): void {
  const key = slotKey(line.slot, line.schedule);
  const { until: last } = line as { readonly until?: unknown };
  const until = typeof last === "string" ? Date.parse(last) : Number.NaN;
  if (!Number.isNaN(until)) state.covered = [...state.covered, [Date.parse(line.slot), until]];
  if (line.through === undefined) state.decided.set(key, what);
  if (what === "fired") state.recentlyFired.add(key);
  moveWatermark(state, line.through);
}

function moveWatermark(state: PipelineState, through: string | undefined): void {
  if (through === undefined) return;
  const to = Date.parse(through);
  if (Number.isNaN(to)) return;
  state.through = Math.max(to, state.through ?? to);
  if (state.decided.size === 0 && state.firedAhead.size === 0 && state.covered.length === 0) return;
  const passed = state.through - reachOf(state);
  state.covered = state.covered.filter(([, last]) => last > passed);
  for (const key of state.decided.keys()) if (slotOfKey(key) <= passed) state.decided.delete(key);
  // There may be thousands, in about the order of their slots. One that is out of order stays a
  // little longer.
  for (const key of state.firedAhead) {
    if (slotOfKey(key) > passed) break;
    state.firedAhead.delete(key);
  }
}

/**
 * From which moment on slots that fired may be due again without being remembered, if the clock
 * goes back to `to`. In milliseconds since 1970. Undefined: all are remembered.
 */
export function forgottenAfter(state: PipelineState, to: number): number | undefined {
  const from = to - reachOf(state);
  return state.recentlyFired.holdsAllAfter(from) ? undefined : from;
}

/** How long after its slot a run may be due, by the schedules in force, in milliseconds. */
function reachOf({ schedules }: PipelineState): number {
  return Math.max(
    0,
    ...schedules.map(
      (schedule) =>
        Number((schedule as { jitterSeconds?: unknown } | null)?.jitterSeconds ?? 0) * 1_000,
    ),
  );
}

function stepBack(
  state: PipelineState,
  line: Extract<PipelineLine, { type: "clock.stepped" }>,
): void {
  if (line.through === undefined) return;
  const to = Date.parse(line.through);
  if (state.through !== undefined && to < state.through) {
    // Jitter may have held a slot back beyond `to`. It is due again, although the slot itself has
    // passed.
    const reach = reachOf(state);
    for (const key of state.recentlyFired)
      if (slotOfKey(key) + reach > to) state.firedAhead.add(key);
    // Forgotten slots are older than remembered ones. The set is sorted, since the watermark takes
    // slots from its front.
    const forgotten = unpackSlots(line.fired);
    if (forgotten.length > 0) {
      const all = [...new Set([...forgotten, ...state.firedAhead])].sort(
        (a, b) => slotOfKey(a) - slotOfKey(b),
      );
      state.firedAhead.clear();
      for (const key of all) state.firedAhead.add(key);
    }
  }
  state.through = to;
  // A schedule that was loaded under the wrong clock must not wait until that time comes again.
  if (state.since !== undefined) state.since = Math.min(state.since, to);
  state.decided.clear();
  state.covered = [];
}

function backfillOf(line: Extract<PipelineEvent, { type: "backfill.started" }>): Backfill {
  const { requestId, from, to, which, maxActive, schedule, params } = line;
  return defined({ requestId, from, to, which, maxActive, schedule, params });
}

function finishRun(
  state: PipelineState,
  line: Extract<PipelineLine, { type: "run.finished" }>,
): void {
  const startedAt =
    state.active.get(line.run)?.startedAt ??
    (state.last?.run === line.run ? state.last.startedAt : null);
  state.active.delete(line.run);
  state.queued.delete(line.run);
  keepEnded(state, line.run);
  if (line.status === "completed") {
    state.durations.push(line.workedMs ?? line.durationMs);
    if (state.durations.length > DURATIONS_KEPT) state.durations.shift();
  }
  count(state, line.status);
  tallyRun(state.tally, line);
  const ended = { run: line.run, status: line.status, startedAt, finishedAt: line.at };
  state.last =
    line.status === "completed" || line.because === undefined
      ? ended
      : { ...ended, because: line.because.slice(0, REASON_CHARACTERS) };
}

/** Also from a checkpoint, where a release before this one wrote none. */
function setSilence(state: PipelineState, silence: Readonly<Record<string, unknown>>): void {
  const { until, because, by } = silence;
  if (typeof until !== "string") delete state.silence;
  else
    state.silence = defined({
      until,
      because: typeof because === "string" ? because : undefined,
      by: typeof by === "string" ? by : undefined,
    });
}

function notePruning(state: PipelineState, until: unknown): void {
  const to = typeof until === "string" ? Date.parse(until) : Number.NaN;
  if (!Number.isNaN(to)) state.prunedUntil = Math.max(to, state.prunedUntil ?? to);
}

function keepEnded(state: PipelineState, run: string): void {
  state.ended.add(run);
  if (state.ended.size > ENDED_KEPT) state.ended.delete(state.ended.values().next().value!);
}

/**
 * Replaces the state by a checkpoint (pipeline-checkpoint.ts), which stands for all lines before
 * it.
 */
function restore(
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
  for (const id of (more["requests"] ?? []) as string[]) remember(state, id);
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
  setSilence(state, (more["silence"] ?? {}) as Readonly<Record<string, unknown>>);
  delete state.prunedUntil;
  notePruning(state, more["prunedUntil"]);
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
