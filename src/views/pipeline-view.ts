/**
 * One pipeline as `orchd status` shows it: what its ledger says, and the next instant of its
 * schedules.
 */
import type {
  Backfill,
  LastRun,
  PipelineCounts,
  PipelineSilence,
  PipelineState,
} from "../core/pipeline-state.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { timetable } from "../core/schedule/schedule.ts";
import { iso } from "../core/time.ts";
import type { PipelineReading } from "./pipeline-reading.ts";
import { quickCalculator } from "./quick-calculator.ts";
import { schedulesInForce, scheduleText } from "./recorded-schedule.ts";

/** One entry of `orchd status --json`. */
export interface PipelineView {
  readonly name: string;
  /** The pipeline file; null where none was recorded. */
  readonly file: string | null;
  /** Whether the newest version of the file is the one in force. */
  readonly valid: boolean;
  readonly errors: readonly string[];
  readonly paused: boolean;
  /** The schedules in words; null without one. */
  readonly schedule: string | null;
  /** When it fires next, ISO 8601; null while it is paused or removed, or never fires again. */
  readonly nextFire: string | null;
  readonly lastRun: LastRun | null;
  /** Runs that have started and not ended, without those that wait for their turn. */
  readonly active: readonly string[];
  /** Runs that wait for their turn. */
  readonly queued: readonly string[];
  /** What the first of them wait for now, as far as the ledgers say; present if any wait. */
  readonly waiting?: readonly { readonly run: string; readonly because: string }[];
  /** How many slots and runs there have been, by kind. */
  readonly counts: PipelineCounts;
  /** Backfills that are under way, the oldest first; present if there are any. */
  readonly backfills?: readonly BackfillView[];
  /** Present, and true, once the file is gone. */
  readonly removed?: true;
  /** Present, and true, while the daemon cannot use files of the pipeline. */
  readonly aside?: true;
  /** When somebody last touched its ledgers under the daemon, and what became of it. */
  readonly disturbed?: { readonly at: string; readonly because: string };
  /** Present while nobody is told of it: until when, and why. */
  readonly silence?: PipelineSilence;
  /** Present, and true, for a file that no daemon has read yet. */
  readonly unread?: true;
}

/** A backfill that is under way. */
export interface BackfillView {
  /** The request's id: `orchd backfill --cancel` takes it. */
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly which: string;
}

/** The entry of a pipeline at this moment (milliseconds since 1970). */
export function viewPipeline(
  name: string,
  { state, fault }: PipelineReading,
  now: number,
): PipelineView {
  // A run in the foreground makes a ledger, and leaves it to the daemon to read the file.
  const unread =
    state.digest === undefined &&
    state.through === undefined &&
    !state.removed &&
    state.errors.length === 0;
  const said = unread ? [unreadText(name)] : state.errors;
  const errors = fault === undefined ? said : [...said, fault];
  const queued = [...state.queued];
  return {
    name,
    file: state.file ?? null,
    valid: errors.length === 0,
    errors,
    paused: state.paused,
    schedule: scheduleText(state.schedules as unknown as readonly Schedule[]),
    nextFire: nextFire(name, state, now),
    lastRun: state.last,
    active: [...state.active.keys()].filter((run) => !state.queued.has(run)),
    queued,
    counts: state.counts,
    ...(state.backfills.size === 0 ? {} : { backfills: backfillsOf(state.backfills.values()) }),
    ...(state.disturbed === undefined ? {} : { disturbed: state.disturbed }),
    ...silenceAt(state.silence, now),
    // A bad file under the name of one that was removed is there to be corrected.
    ...(state.removed && state.errors.length === 0 ? { removed: true as const } : {}),
    ...(unread ? { unread: true as const } : {}),
  };
}

/** A silence as a view has it: one that is over is not told. */
export function silenceAt(
  silence: PipelineSilence | undefined,
  now: number,
): Pick<PipelineView, "silence"> {
  return silence !== undefined && Date.parse(silence.until) > now ? { silence } : {};
}

/**
 * Whether a pipeline is history: its file was removed, and no run of it is left, not even one that
 * waits.
 */
export function isHistory({ removed, active, queued }: PipelineView): boolean {
  return removed === true && active.length + queued.length === 0;
}

/** Backfills as they are shown. */
export function backfillsOf(all: Iterable<Backfill>): BackfillView[] {
  return Array.from(all, ({ requestId, from, to, which }) => ({ id: requestId, from, to, which }));
}

/** What is said of a pipeline, or its file, that no daemon has read. */
export function unreadText(what: string, file = ""): string {
  const check = `orchd validate${file === "" ? "" : ` ${file}`}`;
  return `${what} has not been read yet; \`orchd start\` reads it, \`${check}\` checks it`;
}

/** What decides when a pipeline fires next. */
export type FiringState = Pick<PipelineState, "paused" | "removed" | "schedules" | "since" | "ran">;

/** When a pipeline fires next, ISO 8601; null while it is paused or removed, or never again. */
export function nextFire(name: string, state: FiringState, now: number): string | null {
  if (state.paused || state.removed || state.schedules.length === 0) return null;
  try {
    const next = timetable(name, schedulesInForce(state), state.since, quickCalculator).next(now);
    return next === undefined ? null : iso(next.due);
  } catch {
    // A schedule that a newer release wrote is no reason to show nothing of a pipeline.
    return null;
  }
}
