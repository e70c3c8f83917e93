import { defined } from "../core/defined.ts";
import type { PipelineEvent } from "../core/event.ts";
import type { RunEnd } from "./ports.ts";

/** The line of a pipeline's ledger about the end of a run. */
export function endLine(
  run: string,
  { status, durationMs, workedMs, because, results }: RunEnd,
): PipelineEvent {
  return defined({
    type: "run.finished",
    run,
    status,
    durationMs,
    workedMs,
    because,
    ...results,
  });
}
