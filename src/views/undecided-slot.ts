/**
 * A time that no line of a pipeline's ledger speaks of: no slot is due then, its slot is in the
 * future, or it is due and not decided yet.
 */
import type { PipelineState } from "../core/pipeline-state.ts";
import { blackoutOf, timetable, type DueSlot, type Schedule } from "../core/schedule/schedule.ts";
import { formatDuration } from "../core/duration.ts";
import { iso } from "../core/time.ts";
import { daemonRuns } from "../ledger/ask.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { endOfSlots, nearSlots } from "./near-slots.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { textAt, type BeforeLedger, type TextInForce } from "./schedule-history.ts";
import { slotsWithin } from "./slot-decisions.ts";
import type { SlotOutcome } from "./slot-outcome.ts";

/** A daemon that is well decides a slot before this, in milliseconds. */
const SOON_MS = 10_000;

/**
 * What is known of the time from `time` through `until`, in which nothing was decided. Times are
 * milliseconds since 1970.
 */
export function undecidedSlot(
  store: RunStore,
  pipeline: string,
  time: number,
  until: number,
  now: number,
): SlotOutcome {
  const none = (...reasons: string[]): SlotOutcome =>
    noSlot(pipeline, reasons.filter((reason) => reason !== "").join("; ") || null);
  const state = readPipeline(store, pipeline)?.state;
  if (state?.digest === undefined) return none(neverLoaded(state?.errors[0]));
  const text = textAt(store, pipeline, time);
  if (!("since" in text)) {
    if (text.older) return none("the ledger of that time is gone");
    return none(beforeLoad(text), nearSlots(store, pipeline, text.firstLoad ?? time));
  }
  if (text.removedAt !== undefined) return none(`its file was removed at ${iso(text.removedAt)}`);
  if (text.schedules.length === 0) return none("it has no schedule; it runs when it is asked to");
  const due = slotsWithin(timetable(pipeline, text.schedules), time, until)[0];
  const outside =
    due === undefined
      ? boundsOf(text.schedules, time)
      : outsideOf(store, pipeline, state, text, due, now);
  if (due === undefined || outside !== undefined)
    return none(outside ?? "", nearSlots(store, pipeline, time));
  const slot = { slot: iso(due.slot), schedule: due.track ?? null };
  if (due.due > now)
    return { ...noSlot(pipeline, comingNote(state, due)), ...slot, decision: "coming" };
  if (state.through !== undefined && due.due <= state.through)
    return none("the ledger of that time is gone, or damaged");
  return { ...noSlot(pipeline, heldBecause(store, now - due.due)), ...slot, decision: "pending" };
}

/** Why a daemon that is up has not decided a slot that was due `lateMs` ago; null: it will soon. */
function heldBecause(store: RunStore, lateMs: number): string | null {
  if (!daemonRuns(store.runsDir)) return null;
  const full = store.whyFull();
  if (full !== undefined) return `${full}, and nothing starts before it is recorded`;
  if (lateMs < SOON_MS) return null;
  return (
    `the daemon has not come to it for ${formatDuration(lateMs)}; ` +
    "`orchd status` and the daemon's log say what holds it up"
  );
}

function noSlot(pipeline: string, because: string | null): SlotOutcome {
  return {
    pipeline,
    slot: null,
    decision: "none",
    because,
    schedule: null,
    run: null,
    status: null,
    decidedAt: null,
  };
}

function neverLoaded(refused: string | undefined): string {
  return refused === undefined
    ? "no daemon has loaded it yet"
    : `no version of its file has been good so far (${refused})`;
}

function beforeLoad({ firstLoad }: BeforeLedger): string {
  return firstLoad === undefined
    ? ""
    : `its schedule counts from ${iso(firstLoad)}, when it was loaded`;
}

/** Why no schedule names a time, where `startTime` or `endTime` says so; else an empty text. */
function boundsOf(schedules: readonly Schedule[], time: number): string {
  const starts = schedules.map(({ startTime }) => Date.parse(startTime ?? ""));
  if (starts.every((start) => start > time))
    return `its schedule starts at ${iso(Math.min(...starts))}`;
  const ends = schedules.map(({ endTime }) => Date.parse(endTime ?? ""));
  return ends.every((end) => end < time) ? `its schedule ended at ${iso(Math.max(...ends))}` : "";
}

/** Why a slot that the schedules name was never due; undefined where it was or will be. */
function outsideOf(
  store: RunStore,
  pipeline: string,
  state: PipelineState,
  text: TextInForce,
  due: DueSlot,
  now: number,
): string | undefined {
  if (due.slot <= text.since)
    return `its schedule counts from ${iso(text.since)}, when it was loaded`;
  if (text.until === Number.POSITIVE_INFINITY) return endOfSlots(store, pipeline, state, due);
  return due.due > now || due.due <= text.until
    ? undefined
    : `the schedule that it belongs to was in force until ${iso(text.until)}, before it was due`;
}

function comingNote(state: PipelineState, due: DueSlot): string | null {
  if (state.paused)
    return "the schedule is paused, so it will be skipped unless it is resumed before";
  const blackout = blackoutOf(due.schedule, due.slot);
  return blackout === undefined ? null : `it will be skipped, in the ${blackout}`;
}
