/**
 * When a pipeline's coming slots are: by its file, or by the version that its ledger has in force.
 */
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { timetable, type DueSlot, type Timetable } from "../core/schedule/schedule.ts";
import { schedulesInForce } from "./recorded-schedule.ts";

/** A pipeline and when its slots are. */
export interface Planned {
  readonly pipeline: string;
  readonly table: Timetable;
  readonly paused: boolean;
}

/** By its file. @param state what its ledger says; undefined where it has none */
export function plannedByFile(loaded: LoadedPipeline, state: PipelineState | undefined): Planned {
  const { name, schedules, digest } = loaded;
  // What has fired under this very text counts against its `stopAfter`.
  const inForce = state?.digest === digest ? schedulesInForce(state) : schedules;
  return { pipeline: name, table: timetable(name, inForce), paused: state?.paused === true };
}

/** By its ledger alone. */
export function plannedByLedger(
  pipeline: string,
  state: Pick<PipelineState, "schedules" | "ran" | "paused">,
): Planned {
  return {
    pipeline,
    table: timetable(pipeline, schedulesInForce(state)),
    paused: state.paused,
  };
}

/**
 * The first `number` slots of a pipeline after `from` (milliseconds since 1970): slots, not due
 * times (semantics.md 0). A slot before `from` whose jitter is not over is none of them.
 */
export function slotsAfter({ table }: Planned, from: number, number: number): DueSlot[] {
  const found: DueSlot[] = [];
  let after = from;
  while (found.length < number) {
    const next = table.next(after);
    if (next === undefined) break;
    const together = table.dueSlots(next.due - 1, next.due);
    found.push(...together.filter(({ slot }) => slot > from));
    after = next.due;
  }
  return found;
}
