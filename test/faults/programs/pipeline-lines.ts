/** The lines of pipeline-writer.ts, for it and for the test that begins its ledger. */
import type { PipelineEvent } from "../../../src/core/event.ts";
import type { PipelineState } from "../../../src/core/pipeline-state.ts";

/** To come: what is due before a pipeline was first seen is none of its slots. */
const BEGIN = Date.UTC(2100, 0, 1);
/** Makes a line of 4 KiB: 16 MiB are soon there. */
const LONG = "x".repeat(4_000);

/** A run, from its slot to its end. */
export function firedAndEnded(n: number): PipelineEvent[] {
  const slot = new Date(BEGIN + n * 1_000).toISOString();
  const run = `p@${n}-${LONG}`;
  return [
    { type: "slot.fired", slot, run, through: slot },
    { type: "run.finished", run, status: "completed", durationMs: 1 },
  ];
}

/** The number of the last run that was fired; 0 before the first. */
export function numberOf(state: PipelineState): number {
  return state.through === undefined ? 0 : (state.through - BEGIN) / 1_000;
}
