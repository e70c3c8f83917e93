import { PIPELINE_NAME } from "../core/run-id.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";

/** The runs that the pipelines' ledgers call active. A pipeline that cannot be read has none. */
export function activeRunIds(store: RunStore): string[] {
  return store.pipelines().flatMap((pipeline) => {
    if (!PIPELINE_NAME.test(pipeline)) return [];
    try {
      return [...(readPipeline(store, pipeline)?.state.active.keys() ?? [])];
    } catch {
      return [];
    }
  });
}
