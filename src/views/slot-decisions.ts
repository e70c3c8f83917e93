/** The slots of a stretch of time that a pipeline's ledger has decided. */
import { runStatus } from "../core/run-status.ts";
import { timetable, type DueSlot, type Timetable } from "../core/schedule/schedule.ts";
import { DAY_MS, iso } from "../core/time.ts";
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
/** The most slots that one stretch of a timetable is asked for. */
const MOST_SLOTS = 1_000;

/**
 * The newest decision of each slot from `from` through `until`, and every backfill of it; in the
 * order of the ledger. Times are milliseconds since 1970.
 *
 * A line can stand for a long stretch of missed slots. It gives one outcome: the first slot in the
 * part of it that was asked for.
 */
export function slotDecisions(
  store: RunStore,
  pipeline: string,
  from: number,
  until: number,
): SlotOutcome[] {
  const found: SlotOutcome[] = [];
  const decided = new Set<string>();
  for (const line of linesBackwards(store, pipeline)) {
    const decision = DECISIONS[String(line["type"])];
    if (decision === undefined || typeof line["slot"] !== "string") continue;
    const first = Date.parse(line["slot"]);
    const last = typeof line["until"] === "string" ? Date.parse(line["until"]) : first;
    if (last < from || first > until) continue;
    const schedule = textOf(line["schedule"]);
    const slot =
      first === last
        ? line["slot"]
        : firstSlot(store, pipeline, Math.max(first, from), Math.min(last, until), schedule);
    if (slot === undefined) continue;
    const key = `${slot}.${schedule ?? ""}`;
    if (decision !== "backfilled") {
      if (decided.has(key)) continue;
      decided.add(key);
    }
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
  return found.toReversed();
}

/** Slots, not due times, from `from` through `until`: jitter can make one due a day later. */
export function slotsWithin(table: Timetable, from: number, until: number): DueSlot[] {
  return table
    .dueSlots(from - 1, until + DAY_MS, MOST_SLOTS)
    .filter(({ slot }) => slot >= from && slot <= until);
}

/**
 * The first slot from `from` through `until`; undefined where the schedules of that time name none.
 */
function firstSlot(
  store: RunStore,
  pipeline: string,
  from: number,
  until: number,
  schedule: string | null,
): string | undefined {
  const text = textAt(store, pipeline, from);
  // Without the text, the line is all that is known.
  if (!("since" in text) || text.schedules.length === 0) return iso(from);
  const found = slotsWithin(timetable(pipeline, text.schedules), from, until).find(
    ({ track }) => (track ?? null) === schedule,
  );
  return found === undefined ? undefined : iso(found.slot);
}

function statusOf(store: RunStore, run: string): string | null {
  const state = stateOfRun(store, run);
  return state === undefined ? null : runStatus(state).status;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
