/** What of a pipeline decides who is told of it, as its ledger says now. */
import { relative } from "node:path";
import { MOST_SLOTS_COUNTED } from "../core/alert.ts";
import type { PipelineLine } from "../core/event.ts";
import { timetable } from "../core/schedule/schedule.ts";
import type { PipelineSilence } from "../core/pipeline-state.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import type { Json } from "../core/snapshot.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { quickCalculator } from "./quick-calculator.ts";
import { schedulesInForce } from "./recorded-schedule.ts";
import { pipelineLedgersOldestFirst } from "./run-history.ts";
import { slotsWithin } from "./slot-decisions.ts";

/** What is known of a pipeline. */
export interface ToldOf {
  readonly pipeline: string;
  readonly tags?: readonly string[] | undefined;
  /** `notify:` of its file as written. */
  readonly notify?: Json | undefined;
  readonly paused: boolean;
  readonly silence?: PipelineSilence | undefined;
}

/** The facts of a pipeline; undefined where it has no ledger that can be read. */
export function toldOf(store: RunStore, pipeline: string): ToldOf | undefined {
  try {
    const state = readPipeline(store, pipeline)?.state;
    if (state === undefined) return undefined;
    const { tags, notify } = state.about;
    return { pipeline, tags, notify, paused: state.paused, silence: state.silence };
  } catch {
    return undefined;
  }
}

/** The facts of all pipelines. */
export function* allToldOf(store: RunStore): Generator<ToldOf> {
  for (const pipeline of store.pipelines()) {
    const facts = PIPELINE_NAME.test(pipeline) ? toldOf(store, pipeline) : undefined;
    if (facts !== undefined) yield facts;
  }
}

/**
 * How many slots a pipeline's schedules have from one time through another, in milliseconds since
 * 1970, {@link MOST_SLOTS_COUNTED} at most; undefined where that is not known.
 */
export function slotsBetween(
  store: RunStore,
  pipeline: string,
  from: number,
  until: number,
): number | undefined {
  try {
    const state = readPipeline(store, pipeline)?.state;
    if (state === undefined) return undefined;
    const schedules = schedulesInForce(state);
    if (schedules.length === 0) return undefined;
    const table = timetable(pipeline, schedules, undefined, quickCalculator);
    return Math.min(slotsWithin(table, from, until).length, MOST_SLOTS_COUNTED);
  } catch {
    return undefined;
  }
}

/** A line of a pipeline's ledger, and where it stands. */
export interface PlacedPipelineLine {
  /** The ledger's path below the runs folder. */
  readonly file: string;
  readonly seq: number;
  readonly line: Readonly<Record<string, unknown>>;
}

/** All lines of a pipeline's ledgers, oldest first. @throws a Node error; LedgerFormatError */
export function* pipelineLines(store: RunStore, pipeline: string): Generator<PlacedPipelineLine> {
  for (const path of pipelineLedgersOldestFirst(store, pipeline)) {
    const file = relative(store.runsDir, path);
    for (const line of readLedger<PipelineLine>(path).lines) yield { file, seq: line.seq, line };
  }
}
