/**
 * When a pipeline's coming slots are: by its file, or by the version that its ledger has in force.
 */
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import {
  timetable,
  type DueSlot,
  type Schedule,
  type Timetable,
} from "../core/schedule/schedule.ts";
import { withExpectedEnds } from "./expected-end.ts";
import { schedulesInForce } from "./recorded-schedule.ts";

/** A pipeline and when its slots are. */
export interface Planned {
  readonly pipeline: string;
  readonly table: Timetable;
  readonly paused: boolean;
}

/**
 * By its file. Its ledger is read where that is needed: for schedules that end with a number of
 * runs, and else once somebody asks whether the pipeline is paused. Most of hundreds are never
 * asked, and reading their ledgers took longer than all else.
 *
 * @param stateOf what its ledger says; undefined where it has none
 * @param now milliseconds since 1970: a schedule's `stopAfter` counts from here on
 */
export function plannedByFile(
  { name, schedules, digest }: Pick<LoadedPipeline, "name" | "schedules" | "digest">,
  stateOf: () => PipelineState | undefined,
  now: number,
): Planned {
  let read: { readonly state: PipelineState | undefined } | undefined;
  const state = (): PipelineState | undefined => (read ??= { state: stateOf() }).state;
  const inForce = (): readonly Schedule[] => {
    if (schedules.every(({ stopAfter }) => stopAfter === undefined)) return schedules;
    const known = state();
    // What has fired under this very text counts against its `stopAfter`.
    if (known?.digest === digest) return expectedSchedules(known, now);
    return known?.paused === true ? schedules : withExpectedEnds(schedules, {}, now);
  };
  return {
    pipeline: name,
    table: timetable(name, inForce()),
    get paused() {
      return state()?.paused === true;
    },
  };
}

/** By its ledger alone. */
export function plannedByLedger(pipeline: string, state: PlannedState, now: number): Planned {
  return {
    pipeline,
    table: timetable(pipeline, expectedSchedules(state, now)),
    paused: state.paused,
  };
}

type PlannedState = Pick<PipelineState, "schedules" | "ran" | "paused">;

/** The schedules that still fire, as far as is known. While it is paused, none comes to its end. */
function expectedSchedules(state: PlannedState, now: number): readonly Schedule[] {
  const inForce = schedulesInForce(state);
  return state.paused ? inForce : withExpectedEnds(inForce, state.ran, now);
}

/**
 * The first `number` slots of a pipeline after `from` (milliseconds since 1970): slots, not due
 * times (semantics.md 0). A slot before `from` whose jitter is not over is none of them.
 *
 * @param until slots after this instant are not wanted; default: there is no end
 */
export function slotsAfter(
  { table }: Planned,
  from: number,
  number: number,
  until: number = Number.POSITIVE_INFINITY,
): DueSlot[] {
  // Without jitter slots are due in their own order.
  return table.reach === 0 ? table.dueSlots(from, until, number) : table.slots(from, until, number);
}
