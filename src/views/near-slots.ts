/** The slots before and after a time, for an answer about a time that has none. */
import type { PipelineState } from "../core/pipeline-state.ts";
import { scheduleKey, timetable, type DueSlot } from "../core/schedule/schedule.ts";
import { DAY_MS, iso } from "../core/time.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { countText, listText } from "../core/counted.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { schedulesInForce } from "./recorded-schedule.ts";
import { linesBackwards } from "./run-history.ts";
import { textAt } from "./schedule-history.ts";

/** How far back to look for the previous slot, in milliseconds. */
const NEAR_MS = 400 * DAY_MS;

/**
 * The slots before and after `time` (milliseconds since 1970) in words, by the schedules that are
 * in force there; an empty text where there are none.
 */
export function nearSlots(store: RunStore, pipeline: string, time: number): string {
  const text = textAt(store, pipeline, time);
  const state = readPipeline(store, pipeline)?.state;
  if (!("since" in text) || state === undefined || text.schedules.length === 0) return "";
  const before = timetable(pipeline, text.schedules, text.since).newest(
    Math.max(text.since, time - NEAR_MS),
    time - 1,
  );
  const running =
    text.until === Number.POSITIVE_INFINITY ? schedulesInForce(state) : text.schedules;
  const after = timetable(pipeline, running, text.since).next(time);
  const last =
    before === undefined ||
    endOfSlots(store, pipeline, state, { slot: time, schedule: before.schedule }) === undefined
      ? before?.slot
      : undefined;
  return listText([
    ...(last === undefined ? [] : [`the one before is ${iso(last)}`]),
    ...(after === undefined || after.due > text.until
      ? []
      : [`the one after ${last === undefined ? "is " : ""}${iso(after.slot)}`]),
  ]);
}

const DECISIONS = new Set(["slot.fired", "slot.caught_up", "slot.skipped", "slot.missed"]);

/** The newest slot that has a decision, in milliseconds since 1970; undefined without one. */
export function newestSlot(store: RunStore, pipeline: string): number | undefined {
  for (const line of linesBackwards(store, pipeline))
    if (DECISIONS.has(String(line["type"])))
      return Date.parse(String(line["until"] ?? line["slot"]));
  return undefined;
}

/**
 * Why a slot does not come, where its schedule has `stopAfter` and all its slots are over by then;
 * else undefined.
 */
export function endOfSlots(
  store: RunStore,
  pipeline: string,
  state: PipelineState,
  { slot, schedule }: Pick<DueSlot, "slot" | "schedule">,
): string | undefined {
  const key = scheduleKey(schedule);
  const { stopAfter } = schedule;
  if (stopAfter === undefined || (state.ran[key] ?? 0) < stopAfter) return undefined;
  const last = lastFired(store, pipeline, key);
  if (last !== undefined && slot <= last) return undefined;
  const which = last === undefined ? "" : `, the last of them ${iso(last)}`;
  return `its schedule stops after ${countText(stopAfter, "slot")}${which}`;
}

function lastFired(store: RunStore, pipeline: string, key: string): number | undefined {
  for (const line of linesBackwards(store, pipeline)) {
    // A checkpoint that counts no run of the schedule: none of those before it is one of its runs.
    const { type, ran } = line as { type?: unknown; ran?: Readonly<Record<string, unknown>> };
    if (type === "pipeline.checkpoint" && ran !== undefined && (ran[key] ?? 0) === 0)
      return undefined;
    if (type !== "slot.fired" && type !== "slot.caught_up") continue;
    if ((line["schedule"] ?? line["of"] ?? "") === key) return Date.parse(String(line["slot"]));
  }
  return undefined;
}
