import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";

/** The runs of all pipelines that have not ended, those that wait among them. */
export function activeRunIds(store: RunStore): string[] {
  return store.pipelines().flatMap((pipeline) => {
    try {
      return [...(readPipeline(store, pipeline)?.state.active.keys() ?? [])];
    } catch {
      // Other views say that this ledger cannot be read.
      return [];
    }
  });
}
