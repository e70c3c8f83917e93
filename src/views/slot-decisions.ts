/** The slots of a stretch of time that a pipeline's ledger has decided. */
import { runStatus } from "../core/run-status.ts";
import { timetable, type DueSlot, type Timetable } from "../core/schedule/schedule.ts";
import { slotOfKey, unpackSlots } from "../core/schedule/slot-list.ts";
import { DAY_MS, HOUR_MS, iso } from "../core/time.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { linesBackwards } from "./run-history.ts";
import { stateOfRun } from "./run-reading.ts";
import { textAt } from "./schedule-history.ts";
import type { SlotDecision, SlotOutcome } from "./slot-outcome.ts";

const DECISIONS: Readonly<Record<string, SlotDecision>> = {
  "slot.fired": "fired",
  "slot.caught_up": "caught_up",
  "slot.skipped": "skipped",
  "slot.missed": "missed",
  "slot.backfilled": "backfilled",
};
const BACKFILLED = Buffer.from('"type":"slot.backfilled"');
/** The most that a clock can go back without a line that tells it, with room to spare. */
const UNTOLD_STEP_MS = HOUR_MS;
/** The most slots that one stretch of a timetable is asked for. */
const MOST_SLOTS = 1_000;

/**
 * The newest decision of each slot from `from` through `until`, and every backfill of it; in the
 * order of the ledger. Times are milliseconds since 1970.
 *
 * A line can stand for a long stretch of missed slots, of all schedules. It gives one outcome for
 * each schedule whose slots are its own: the first slot in the part of it that was asked for.
 */
export function slotDecisions(
  store: RunStore,
  pipeline: string,
  from: number,
  until: number,
): SlotOutcome[] {
  const found: SlotOutcome[] = [];
  const decided = new Set<string>();
  let wanted: Buffer | undefined;
  for (const line of linesBackwards(store, pipeline, () => wanted)) {
    if (wanted === undefined && isBefore(line, from)) {
      if (!hasBackfills(line)) break;
      wanted = BACKFILLED;
    }
    const decision = DECISIONS[String(line["type"])];
    if (decision === undefined || typeof line["slot"] !== "string") continue;
    const first = Date.parse(line["slot"]);
    const last = typeof line["until"] === "string" ? Date.parse(line["until"]) : first;
    if (last < from || first > until) continue;
    const slots =
      first === last
        ? [{ slot: line["slot"], schedule: textOf(line["schedule"]) }]
        : firstSlots(store, pipeline, Math.max(first, from), Math.min(last, until));
    for (const { slot, schedule } of slots.toReversed()) {
      const key = `${slot}.${schedule ?? ""}`;
      if (decision !== "backfilled" && decided.has(key)) continue;
      if (decision !== "backfilled") decided.add(key);
      const run = textOf(line["run"]);
      found.push({
        pipeline,
        slot,
        decision,
        because: textOf(line["because"]),
        schedule,
        run,
        status: run === null ? null : statusOf(store, run),
        decidedAt: textOf(line["at"]),
      });
    }
  }
  return found.toReversed();
}

/**
 * Whether a line is a checkpoint before which no line decides a slot at or after `from`. A slot is
 * decided once it is due, so no line decides a slot that is later than the line. A clock that was
 * ahead breaks this. What fired under it is in the checkpoint, and the rest is decided again
 * (semantics.md 8).
 */
function isBefore(line: Readonly<Record<string, unknown>>, from: number): boolean {
  if (line["type"] !== "pipeline.checkpoint") return false;
  if (!(Date.parse(String(line["at"])) < from - UNTOLD_STEP_MS)) return false;
  const { decided, firedAhead, covered } = line;
  const ahead = [...Object.keys(decided ?? {}), ...unpackSlots(firedAhead)];
  return (
    ahead.every((key) => slotOfKey(key) < from) &&
    (!Array.isArray(covered) || (covered as number[][]).every(([, last]) => last! < from))
  );
}

/** A backfill may be of slots that were still to come: only its own line tells. */
function hasBackfills({ counts }: Readonly<Record<string, unknown>>): boolean {
  return Number((counts as Readonly<Record<string, unknown>> | undefined)?.["backfilled"] ?? 0) > 0;
}

/** Slots, not due times, from `from` through `until`: jitter can make one due a day later. */
export function slotsWithin(table: Timetable, from: number, until: number): DueSlot[] {
  return table
    .dueSlots(from - 1, until + DAY_MS, MOST_SLOTS)
    .filter(({ slot }) => slot >= from && slot <= until);
}

/**
 * The first slots from `from` through `until`, one of each schedule whose slots are its own; none
 * where the schedules of that time name none.
 */
function firstSlots(
  store: RunStore,
  pipeline: string,
  from: number,
  until: number,
): { readonly slot: string; readonly schedule: string | null }[] {
  const text = textAt(store, pipeline, from);
  // Without the text, the line is all that is known.
  if (!("since" in text) || text.schedules.length === 0)
    return [{ slot: iso(from), schedule: null }];
  const tracks = new Set<string | undefined>();
  return slotsWithin(timetable(pipeline, text.schedules), from, until)
    .filter(({ track }) => !tracks.has(track) && tracks.add(track))
    .map(({ slot, track }) => ({ slot: iso(slot), schedule: track ?? null }));
}

function statusOf(store: RunStore, run: string): string | null {
  const state = stateOfRun(store, run);
  return state === undefined ? null : runStatus(state).status;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
