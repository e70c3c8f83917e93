import { snapshotFor } from "../core/compile.ts";
import type { RunHeader, Trigger } from "../core/event.ts";
import { LEDGER_FORMAT } from "../core/ledger-format.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { Json, Snapshot } from "../core/snapshot.ts";

/** What a run is made from, besides its pipeline. */
export interface RunOrder {
  readonly run: string;
  readonly trigger: Trigger;
  /** Params that replace the pipeline's own. */
  readonly params?: { readonly [key: string]: Json } | undefined;
  readonly because: string;
}

/**
 * What the runs of a version share that get no params: computed once, because a thousand runs may
 * be made in one second.
 */
const plain = new WeakMap<LoadedPipeline, ReturnType<typeof snapshotFor>>();

function bind(
  loaded: LoadedPipeline,
  params: { readonly [key: string]: Json } | undefined,
): ReturnType<typeof snapshotFor> {
  if (params !== undefined && Object.keys(params).length > 0) return snapshotFor(loaded, params);
  let bound = plain.get(loaded);
  if (bound === undefined) plain.set(loaded, (bound = snapshotFor(loaded)));
  return bound;
}

/**
 * The header of a run of this version of the pipeline; or why its params are refused, in one
 * sentence.
 */
export function runHeader(
  loaded: LoadedPipeline,
  order: RunOrder,
):
  | { readonly ok: true; readonly header: RunHeader }
  | { readonly ok: false; readonly message: string } {
  const bound = bind(loaded, order.params);
  if (!bound.ok) return bound;
  return {
    ok: true,
    header: frozenHeader(
      {
        pipeline: loaded.name,
        snapshot: bound.snapshot,
        params: bound.params,
        tags: loaded.tags,
        group: loaded.concurrency?.group,
      },
      order,
    ),
  };
}

/** The header of a run whose snapshot is frozen already. */
export function frozenHeader(
  of: {
    readonly pipeline: string;
    readonly snapshot: Snapshot;
    readonly params: { readonly [key: string]: Json };
    readonly tags: readonly string[];
    readonly group?: string | undefined;
  },
  order: Omit<RunOrder, "params">,
): RunHeader {
  const header: { -readonly [Key in keyof RunHeader]: RunHeader[Key] } = {
    type: "run.submitted",
    format: LEDGER_FORMAT,
    run: order.run,
    pipeline: of.pipeline,
    // Unique across runs, and the same for all steps of one run. A flavor with an id of its own
    // puts that in `submit.accepted`.
    orchestratorRunId: order.run,
    trigger: order.trigger,
    params: of.params,
    snapshot: of.snapshot,
    tags: [...of.tags],
    because: order.because,
  };
  if (of.group !== undefined) header.group = of.group;
  return header;
}
