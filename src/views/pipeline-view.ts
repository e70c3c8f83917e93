/**
 * One pipeline as `orchd status` shows it: the end of its own ledger, back to the last checkpoint,
 * and the next instant of its schedules.
 *
 * It costs the same however long the history is. No month folder is listed and no run's ledger is
 * opened.
 */
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import type { PipelineEvent } from "../core/event.ts";
import {
  emptyPipelineState,
  evolvePipeline,
  type LastRun,
  type PipelineCounts,
  type PipelineState,
} from "../core/pipeline-state.ts";
import { scheduleKey, timetable } from "../core/schedule/schedule.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { iso } from "../core/time.ts";
import { readTail } from "../ledger/ledger-reader.ts";
import { readQuickTail } from "../ledger/quick-tail.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { quickCalculator } from "./quick-calculator.ts";
import { isPipelineFileName, nameOfFile } from "../core/pipeline-file-name.ts";

/**
 * What a ledger may leave out of a schedule. The defaults' own file brings the schemas with it,
 * which cost more than all of this.
 */
const LEFT_OUT = { timezone: "UTC", jitterSeconds: 0, blackout: [] } as const;

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
  /** Runs that have begun and not ended, those that wait for their turn left out. */
  readonly active: readonly string[];
  /** Runs that wait for their turn. */
  readonly queued: readonly string[];
  /** What the first of them wait for now, as far as the ledgers say; present if any do. */
  readonly waiting?: readonly { readonly run: string; readonly because: string }[];
  /** How many slots and runs there have been, by kind. */
  readonly counts: PipelineCounts;
  /** Present, and true, once the file is gone. */
  readonly removed?: true;
  /** Present, and true, of a file that no daemon has read yet. */
  readonly unread?: true;
}

/** A pipeline's ledger, read as far back as its last checkpoint. */
export interface PipelineReading {
  readonly state: PipelineState;
  /** What is wrong with the ledger. */
  readonly fault?: string;
}

/**
 * Reads a pipeline's state; undefined where it has no ledger. @throws a Node error;
 * LedgerFormatError
 */
export function readPipeline(store: RunStore, name: string): PipelineReading | undefined {
  try {
    const path = store.pipelineLedger(name);
    const state = emptyPipelineState();
    const quick = readQuickTail<PipelineEvent>(path, "pipeline.checkpoint");
    if (quick !== undefined) {
      for (const line of quick) evolvePipeline(state, line);
      return { state };
    }
    // Folded line by line: lines that are kept cost the collector more than the parser.
    const reading = readTail<PipelineEvent>(path, "pipeline.checkpoint", {
      each: (line) => void evolvePipeline(state, line),
    });
    if (reading.end !== "damaged" || reading.fault === undefined) return { state };
    return {
      state,
      fault: `its ledger is damaged at line ${reading.fault.line} (${reading.fault.fault}); what came after is not shown`,
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
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
    // A bad file under the name of one that was removed is there to be corrected.
    ...(state.removed && state.errors.length === 0 ? { removed: true as const } : {}),
    ...(unread ? { unread: true as const } : {}),
  };
}

/** What is said of a pipeline, or its file, that no daemon has read. */
export function unreadText(what: string, file = ""): string {
  return `${what} has not been read yet; \`orchd start\` reads it, \`orchd validate${file === "" ? "" : ` ${file}`}\` checks it`;
}

function nextFire(name: string, state: PipelineState, now: number): string | null {
  if (state.paused || state.removed || state.schedules.length === 0) return null;
  try {
    const next = timetable(name, schedulesInForce(state), state.since, quickCalculator).next(now);
    return next === undefined ? null : iso(next.due);
  } catch {
    // A schedule that a newer release wrote is no reason to show nothing of a pipeline.
    return null;
  }
}

/** The schedules that still fire: one with `stopAfter` ends with its last run. */
export function schedulesInForce(state: PipelineState): Schedule[] {
  return (state.schedules as unknown as readonly Schedule[])
    .map(wholeSchedule)
    .filter(
      (schedule) =>
        schedule.stopAfter === undefined ||
        (state.ran[scheduleKey(schedule)] ?? 0) < schedule.stopAfter,
    );
}

/** A schedule as a ledger has it, with what a ledger may leave out. */
export function wholeSchedule(schedule: Schedule): Schedule {
  return { ...LEFT_OUT, ...schedule };
}

/** Schedules in a few words: the pattern, the zone where it is not UTC. */
export function scheduleText(schedules: readonly Schedule[]): string | null {
  return schedules.length === 0 ? null : schedules.map(oneSchedule).join(", ");
}

function oneSchedule(schedule: Schedule): string {
  if (typeof schedule.cron === "string")
    return schedule.timezone === "UTC" || schedule.timezone === undefined
      ? schedule.cron
      : `${schedule.cron} ${schedule.timezone}`;
  if (typeof schedule.intervalSeconds === "number") return `every ${schedule.intervalSeconds}s`;
  return typeof schedule.runOnceAt === "string" ? `once at ${schedule.runOnceAt}` : "?";
}

/**
 * Files in the drop folder that no ledger speaks of: a daemon that was never up has not read them.
 */
export function unreadFiles(schedules: string, views: readonly PipelineView[]): string[] {
  const known = new Set(views.flatMap((view) => (view.file === null ? [] : [basename(view.file)])));
  const named = new Set(views.map((view) => view.name));
  return pipelineFiles(schedules).filter(
    (file) => !known.has(file) && !named.has(nameOfFile(file)),
  );
}

/** The names of the files at the drop folder's top level that are pipelines. */
export function pipelineFiles(schedules: string): string[] {
  try {
    return readdirSync(schedules, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && isPipelineFileName(entry.name))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
