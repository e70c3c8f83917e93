/** The lines that pipeline-writer.ts writes, and before it the test that makes its ledger. */
import type { PipelineEvent } from "../../../src/core/event.ts";
import type { PipelineState } from "../../../src/core/pipeline-state.ts";

/** In the future: a time before a pipeline is first seen is not one of its slots. */
const BEGIN = Date.UTC(2100, 0, 1);
/** Makes a line 4 KiB long, so that 16 MiB are soon reached. */
const LONG = "x".repeat(4_000);

/** The lines of a run, from its slot to its end. */
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
