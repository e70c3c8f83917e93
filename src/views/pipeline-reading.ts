/**
 * A pipeline's own ledger, read from its end back to the last checkpoint. It costs the same however
 * long the history is: no month folder is listed and no run's ledger is opened.
 */
import type { PipelineEvent } from "../core/event.ts";
import { evolvePipeline } from "../core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../core/pipeline-state.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { readTail } from "../ledger/ledger-reader.ts";
import { readQuickTail } from "../ledger/quick-tail.ts";
import type { RunStore } from "../ledger/run-store.ts";

/** A pipeline as its ledger has it. */
export interface PipelineReading {
  readonly state: PipelineState;
  /** What is wrong with the ledger: the lines after it are not in the state. */
  readonly fault?: string;
}

/**
 * Reads a pipeline's state; undefined where it has no ledger.
 *
 * @throws LedgerFormatError; RangeError where the name is none; a Node error where the file cannot
 *   be read
 */
export function readPipeline(store: RunStore, name: string): PipelineReading | undefined {
  // A file that cannot be loaded may have any name.
  if (!PIPELINE_NAME.test(name)) return undefined;
  try {
    const path = store.pipelineLedger(name);
    const state = emptyPipelineState();
    const quick = readQuickTail<PipelineEvent>(path, "pipeline.checkpoint");
    if (quick !== undefined) {
      for (const line of quick) evolvePipeline(state, line);
      return { state };
    }
    // Folded line by line: lines that are kept cost the garbage collector more than the parser.
    const reading = readTail<PipelineEvent>(path, "pipeline.checkpoint", {
      each: (line) => void evolvePipeline(state, line),
    });
    if (reading.end !== "damaged" || reading.fault === undefined) return { state };
    const { line, fault } = reading.fault;
    return {
      state,
      fault: `its ledger is damaged at line ${line} (${fault}); what came after is not shown`,
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
