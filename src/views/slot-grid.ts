/** The decisions of all pipelines on one time axis: the page's Slots. */
import type { NextSlot } from "./coming-slots.ts";
import type { Downtime } from "./downtimes.ts";
import type { SlotReason, SlotSums, StripMark } from "./overview.ts";

/**
 * `GET /api/v1/slots?from&to&decision&pipeline&cells`. Times are ISO 8601 in UTC.
 *
 * `GET /api/v1/pipelines/{p}/slots?from&to&decision` is the plain list of `SlotOutcome`.
 */
export interface SlotGrid {
  readonly at: string;
  readonly from: string;
  readonly to: string;
  readonly sums: SlotSums;
  readonly downtimes: readonly Downtime[];
  readonly rows: readonly SlotGridRow[];
  /** Why slots did not run, with the backfill that would mend it. */
  readonly reasons: readonly SlotReason[];
}

/** One pipeline's slots. */
export interface SlotGridRow {
  readonly pipeline: string;
  readonly schedule: string | null;
  readonly timezones: readonly string[];
  readonly paused: boolean;
  /** Present where no cell holds marks of two slots. A backfill lies upon the slot's own mark. */
  readonly marks?: readonly StripMark[];
  /** Present instead where marks would lie upon each other: only cells that hold any. */
  readonly cells?: readonly SlotCell[];
  /** What comes before `to`: of each cell the first. */
  readonly coming: readonly NextSlot[];
  /** Present where there are too many marks: those before this moment are left out. */
  readonly cut?: string;
}

/** The slots of one stretch of time. */
export interface SlotCell {
  /** The cell's number, from 0 at `from`. */
  readonly cell: number;
  /** How many marks it holds. */
  readonly count: number;
  /** The worst of them: failed, missed, stopped, skipped, late, caught up, then what ran. */
  readonly worst: StripMark;
}
