/** What the page's Overview shows: the five questions answered, and every pipeline in a row. */
import type { AlertsSummary } from "./alerts.ts";
import type { NextSlot } from "./coming-slots.ts";
import type { Downtime } from "./downtimes.ts";
import type { PipelineView } from "./pipeline-view.ts";
import type { SlotOutcome } from "./slot-outcome.ts";
import type { DaemonView } from "./status-view.ts";

/** `GET /api/v1/overview?strips`. Times are ISO 8601 in UTC. `strips`: how many rows have one. */
export interface Overview {
  /** When the ledgers were read. */
  readonly at: string;
  /** The machine's name, and the root's path. */
  readonly host: string;
  readonly root: string;
  readonly daemon: DaemonView | null;
  /**
   * What the sentences speak of: the last 24 hours, to ten minutes, or since the first slot if that
   * is later.
   */
  readonly from: string;
  /** Did it run? What did not, and why? Of the time since `from`. */
  readonly slots: SlotSums;
  /** Downtimes since `from`, oldest first. */
  readonly downtimes: readonly Downtime[];
  /** Why slots did not run since `from`: the most frequent reasons first. */
  readonly reasons: readonly SlotReason[];
  /** What runs now, the longest first, at most 50; rows name all of them in `active`. */
  readonly running: readonly RunningRun[];
  /** What comes next: the first slots of all pipelines, at most 5. */
  readonly next: readonly NextSlot[];
  /** What changed since `from`, newest first, at most 20: files, pauses, the daemon. */
  readonly changes: readonly Change[];
  /** Absent where nothing was given up since `from`, and every channel takes messages. */
  readonly alerts?: AlertsSummary;
  /** Those that need a person first, then by name. */
  readonly pipelines: readonly PipelineRow[];
}

/** How many slots there were, by what became of them. Runs by hand and backfills are none. */
export interface SlotSums {
  readonly total: number;
  readonly ran: number;
  /** Of those that ran: caught up, or fired more than a second late. */
  readonly late: number;
  /** Of those that ran: the run failed. */
  readonly failed: number;
  readonly skipped: number;
  readonly missed: number;
}

/** Slots that did not run for one reason. */
export interface SlotReason {
  readonly decision: "skipped" | "missed";
  /** Where single slots name the run that was in the way, it says `the run before`. */
  readonly because: string;
  readonly slots: number;
  /** How many of them a backfill has run since. */
  readonly backfilled: number;
  readonly pipelines: readonly string[];
  /** The first and the last of them. */
  readonly from: string;
  readonly to: string;
}

/** A run that goes on. */
export interface RunningRun {
  readonly run: string;
  readonly pipeline: string;
  readonly startedAt: string | null;
  /** The median of its pipeline's completed runs; null without any. */
  readonly usualMs: number | null;
  /** Steps that have ended, and how many there are. */
  readonly done: number;
  readonly steps: number;
  /** Steps that could begin, and that no place takes: `run.waits` of its ledger says why. */
  readonly waiting: number;
}

/** Something that somebody did, or that happened to the daemon. */
export interface Change {
  readonly at: string;
  /** `valid`: a changed file is in force. */
  readonly kind: "valid" | "invalid" | "paused" | "resumed" | "removed" | "daemon";
  readonly pipeline: string | null;
  /** A whole sentence. */
  readonly sentence: string;
}

/** One pipeline's row. */
export interface PipelineRow extends PipelineView {
  readonly description: string | null;
  readonly tags: readonly string[];
  /** The time zones of its schedules, each once. */
  readonly timezones: readonly string[];
  /**
   * The run that ended last failed, also while the next one goes on; an invalid file, a missed
   * newest slot, an overdue run.
   */
  readonly needsYou: boolean;
  /**
   * Its last slots and runs by hand, at most 34, oldest first. Null where it was not asked for:
   * `GET /api/v1/strips?pipelines` gives it. A thousand strips are 8 MB.
   */
  readonly strip: readonly StripMark[] | null;
  /** The last run's duration, and the usual one. */
  readonly lastMs: number | null;
  readonly usualMs: number | null;
  /** Why it stands as it does: a sentence, or null where all is well. */
  readonly because: string | null;
}

/** A row that has its strip. */
export interface WholeRow extends PipelineRow {
  readonly strip: readonly StripMark[];
}

/** One entry of `GET /api/v1/strips?pipelines=a,b`. */
export interface PipelineStrip {
  readonly pipeline: string;
  /** As {@link PipelineRow.strip}. */
  readonly strip: readonly StripMark[];
}

/** One mark of a strip: a slot, or a run by hand (`decision` is `by_hand`, `slot` its time). */
export interface StripMark extends Omit<SlotOutcome, "pipeline" | "decision"> {
  readonly decision: SlotOutcome["decision"] | "by_hand";
  readonly lateMs: number | null;
  readonly durationMs: number | null;
}
