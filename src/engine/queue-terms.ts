/** How the runs of a pipeline wait for each other, and for the runs of others. */
import { activeLimit } from "../core/admission.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { QueueTerms } from "./active-runs.ts";

/** How a pipeline's runs queue. Without a version in force nothing limits them. */
export function queueTermsOf(name: string, loaded: LoadedPipeline | undefined): QueueTerms {
  return {
    lane: name,
    limit:
      loaded === undefined
        ? Number.POSITIVE_INFINITY
        : activeLimit(loaded.overlap, loaded.maxActiveRuns),
    priority: loaded?.concurrency?.priority ?? loaded?.priority ?? 0,
    group: loaded?.concurrency?.group,
  };
}
