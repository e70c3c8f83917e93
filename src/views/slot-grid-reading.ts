/** Reads the decisions of all pipelines on one time axis. */
import { defined } from "../core/defined.ts";
import { DAY_MS, iso } from "../core/time.ts";
import { RunStore } from "../ledger/run-store.ts";
import { nextSlot, type NextSlot } from "./coming-slots.ts";
import { readDowntimes } from "./downtimes.ts";
import type { SlotReason, SlotSums, StripMark } from "./overview.ts";
import { PipelineMemory } from "./pipeline-memory.ts";
import type { PipelineView } from "./pipeline-view.ts";
import { plannedByLedger } from "./planned.ts";
import { zonesOf } from "./recorded-schedule.ts";
import type { Roots } from "./roots.ts";
import type { SlotCell, SlotGrid, SlotGridRow } from "./slot-grid.ts";
import { MOST_LINES, recentLines, slotMarks } from "./slot-marks.ts";
import {
  addSums,
  fateOf,
  isLate,
  mergeReasons,
  NO_SLOTS,
  reasonsOf,
  sumMarks,
} from "./slot-sums.ts";

/** How many cells an axis has where nobody says. */
const CELLS = 240;
const MOST_CELLS = 2_000;
/** The most lines that are read for one grid, all pipelines together. */
const MOST_LINES_OF_ALL = 2 * MOST_LINES;
/** The most coming slots of one pipeline that are looked at. */
const MOST_COMING = 2_000;
/** No grid looks further ahead. */
const AHEAD_MS = 35 * DAY_MS;

/** What a grid is asked for. Times are milliseconds since 1970, both included. */
export interface GridQuery {
  readonly from: number;
  readonly to: number;
  /**
   * The decisions that are wanted, by commas: those of `SlotDecision`, `by_hand`, `late` and
   * `not_run`. It rules the marks alone: the sums and reasons are of all. Default: all
   */
  readonly decision?: string | undefined;
  /** Default: all. */
  readonly pipeline?: string | undefined;
  /** How many cells the axis has; default 240, at most 2,000. */
  readonly cells?: number | undefined;
}

/**
 * The grid of a root.
 *
 * @param now milliseconds since 1970
 * @param memory what was read before
 * @throws a Node error where this user may not read the ledgers
 */
export function readSlotGrid(
  roots: Roots,
  query: GridQuery,
  now: number,
  memory: PipelineMemory = new PipelineMemory(new RunStore(roots.runs)),
): SlotGrid {
  const { from, to } = query;
  const names = query.pipeline === undefined ? memory.store.pipelines() : [query.pipeline];
  let sums: SlotSums = NO_SLOTS;
  let left = MOST_LINES_OF_ALL;
  const reasons: SlotReason[] = [];
  const rows: SlotGridRow[] = [];
  for (const name of names) {
    const view = viewOf(memory, name, now);
    if (view === undefined) continue;
    const most = Math.min(MOST_LINES, left);
    const { marks, lines, cut } = marksOf(memory.store, view, query, most);
    left = Math.max(0, left - lines);
    if (view.removed === true && marks.length === 0 && query.pipeline === undefined) continue;
    sums = addSums(sums, sumMarks(marks));
    reasons.push(...reasonsOf(name, marks));
    rows.push(rowOf(memory, view, marks.filter(wantedBy(query.decision)), query, { now, cut }));
  }
  return {
    at: iso(now),
    from: iso(from),
    to: iso(to),
    sums,
    downtimes: readDowntimes(memory.store.orchdDir, { from, to }),
    rows,
    reasons: mergeReasons(reasons),
  };
}

/** A pipeline's view; one that cannot be read has no row: the Overview says what is wrong. */
function viewOf(memory: PipelineMemory, name: string, now: number): PipelineView | undefined {
  try {
    return memory.view(name, now);
  } catch {
    return undefined;
  }
}

function marksOf(
  store: RunStore,
  { name, active, queued }: PipelineView,
  { from, to }: GridQuery,
  most: number,
): { readonly marks: StripMark[]; readonly lines: number; readonly cut: string | undefined } {
  const { lines, isCut } = recentLines(store, name, { from, most });
  const marked = {
    store,
    pipeline: name,
    active: new Set(active),
    queued: new Set(queued),
  };
  const oldest = lines[0]?.["at"];
  const cut = isCut ? (typeof oldest === "string" ? oldest : iso(to)) : undefined;
  return { marks: slotMarks(marked, lines, { from, to }), lines: lines.length, cut };
}

function rowOf(
  memory: PipelineMemory,
  view: PipelineView,
  marks: readonly StripMark[],
  query: GridQuery,
  { now, cut }: { readonly now: number; readonly cut: string | undefined },
): SlotGridRow {
  const cells = cellsOf(marks, query);
  const firing = memory.firing(view.name, now);
  return {
    pipeline: view.name,
    schedule: view.schedule,
    timezones: firing === undefined ? [] : zonesOf(firing),
    paused: view.paused,
    ...(cells.length < new Set(marks.map(({ slot }) => slot)).size ? { cells } : { marks }),
    coming: view.removed === true ? [] : comingOf(memory, view.name, query, now),
    ...defined({ cut }),
  };
}

/** Marks by the cell that they lie in, from left to right: only cells that hold any. */
export function cellsOf(marks: readonly StripMark[], query: GridQuery): SlotCell[] {
  const cells = new Map<number, { count: number; worst: StripMark }>();
  for (const mark of marks) {
    const cell = cellAt(Date.parse(mark.slot!), query);
    const there = cells.get(cell);
    if (there === undefined) cells.set(cell, { count: 1, worst: mark });
    else {
      there.count += 1;
      if (severity(mark) <= severity(there.worst)) there.worst = mark;
    }
  }
  return [...cells].map(([cell, rest]) => ({ cell, ...rest })).toSorted((a, b) => a.cell - b.cell);
}

function cellAt(time: number, { from, to, cells = CELLS }: GridQuery): number {
  const count = Math.min(MOST_CELLS, Math.max(1, cells));
  return Math.min(count - 1, Math.floor(((time - from) / Math.max(1, to - from)) * count));
}

/** The lower, the worse. Of marks that are equally bad, the newest stands for its cell. */
function severity(mark: StripMark): number {
  const { decision, status } = mark;
  if (status === "failed") return 0;
  if (decision === "missed") return 1;
  if (status === "stopped") return 2;
  if (decision === "skipped") return 3;
  if (isLate(mark)) return decision === "fired" ? 4 : 5;
  return status === "running" || status === "initializing" ? 6 : 7;
}

/** What `decision` takes, by commas. */
export const WANTED = [
  "fired",
  "caught_up",
  "skipped",
  "missed",
  "backfilled",
  "by_hand",
  "late",
  "not_run",
  "all",
] as const;

/** The first word of `decision` that is no decision; undefined: there is none. */
export function strangeDecision(decision = ""): string | undefined {
  const known: ReadonlySet<string> = new Set(["", ...WANTED]);
  return decision.split(",").find((word) => !known.has(word));
}

function wantedBy(decision: string | undefined): (mark: StripMark) => boolean {
  if (decision === undefined || decision === "" || decision === "all") return () => true;
  const wanted = new Set(decision.split(","));
  return (mark) => {
    const fate = fateOf(mark);
    return (
      wanted.has(mark.decision) ||
      (wanted.has("late") && isLate(mark)) ||
      (wanted.has("not_run") && fate !== undefined && fate !== "ran")
    );
  };
}

/**
 * The slots after `now` and before the end of the axis, one a cell: more would lie upon each other.
 */
function comingOf(memory: PipelineMemory, name: string, query: GridQuery, now: number): NextSlot[] {
  const after = Math.max(now, query.from - 1);
  const end = Math.min(query.to, now + AHEAD_MS);
  const firing = memory.firing(name, now);
  if (firing === undefined || after >= end) return [];
  try {
    const planned = plannedByLedger(name, firing, now);
    const cells = new Set<number>();
    return planned.table
      .dueSlots(after, end, MOST_COMING)
      .filter(({ slot }) => {
        const cell = cellAt(slot, query);
        return slot > after && slot <= end && !cells.has(cell) && cells.add(cell);
      })
      .map((slot) => nextSlot(planned, slot));
  } catch {
    // A schedule that a newer release wrote: what was decided is shown all the same.
    return [];
  }
}
