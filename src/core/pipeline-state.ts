/**
 * A pipeline as its own ledger has it: what is in force, how far its slots are decided, which runs
 * are active. pipeline-fold.ts folds the lines; pipeline-checkpoint.ts writes the state as one line
 * and reads it back.
 *
 * `through` is the watermark: every slot that is due up to this time has its decision. Lines of
 * equal due time are one write, and the last line carries the watermark. So a torn write leaves
 * slots that have a line although the watermark is still before them: `decided` keeps them until
 * the watermark passes. A backward clock step moves the watermark back: `firedAhead` keeps the
 * slots after it that fired, since a slot never fires twice. A checkpoint holds all of this, so
 * nobody reads further back than the last one.
 */
import { defined } from "./defined.ts";
import type { PipelineAbout } from "./pipeline-about.ts";
import { RecentlyFired } from "./schedule/recently-fired.ts";
import type { Json } from "./snapshot.ts";
import { emptyTally, type Tally } from "./tally.ts";

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
   * Runs that ended recently. Newest last, bounded ({@link ENDED_KEPT}). An older one is found by
   * its line alone.
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
/** How many of the runs that ended last are known. A checkpoint repeats them. */
export const ENDED_KEPT = 64;
/**
 * How many slots a clock may go back before the ledger must be read again: a day and a half of
 * minutely slots.
 */
const FIRED_KEPT = 2048;

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

/** The silence that a line or a checkpoint tells; undefined: people are told. */
export function silenceIn(fields: Readonly<Record<string, unknown>>): PipelineSilence | undefined {
  const { until, because, by } = fields;
  if (typeof until !== "string") return undefined;
  return defined({
    until,
    because: typeof because === "string" ? because : undefined,
    by: typeof by === "string" ? by : undefined,
  });
}

/** Remembers that this ledger holds a request's effect. Forgets the oldest if there are many. */
export function rememberRequest({ requests }: PipelineState, id: string): void {
  requests.delete(id);
  requests.add(id);
  if (requests.size > REQUESTS_KEPT) requests.delete(requests.values().next().value!);
}
