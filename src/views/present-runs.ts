/** The active and waiting runs of all pipelines, by ledgers alone. */
import type { Load } from "../core/admission.ts";
import type { RunEvent } from "../core/event.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { pipelineOfRun, stateOfRun } from "./run-reading.ts";
import { reasonNow, type OwnRuns } from "./wait-reason.ts";

/** The active runs under a runs folder, read when they are first needed. */
export class PresentRuns {
  readonly #store: RunStore;
  #pipelines: readonly OwnRuns[] | undefined;
  #load: Pick<Load, "groups" | "total"> | undefined;

  /** @param pipelines the runs of all pipelines, where the caller knows them */
  constructor(store: RunStore, pipelines?: readonly OwnRuns[]) {
    this.#store = store;
    this.#pipelines = pipelines;
  }

  /**
   * What a run waits for.
   *
   * @param own its pipeline's runs; default: as the pipeline's ledger has them
   */
  waitsFor(run: string, own?: OwnRuns): string {
    const pipeline = pipelineOfRun(run);
    const state = stateOfRun(this.#store, run);
    if (state === undefined) return "its ledger cannot be read";
    const { because = "it has not said", group, limits } = state;
    return reasonNow(
      { run, said: because, group, limits },
      own ?? this.#own(pipeline) ?? { active: [], queued: [] },
      () => this.#shared(),
    );
  }

  #own(pipeline: string): OwnRuns | undefined {
    const state = readPipeline(this.#store, pipeline)?.state;
    return state === undefined
      ? undefined
      : {
          active: [...state.active.keys()].filter((run) => !state.queued.has(run)),
          queued: [...state.queued],
        };
  }

  /** The active runs of all pipelines, counted. */
  #shared(): Pick<Load, "groups" | "total"> {
    if (this.#load !== undefined) return this.#load;
    this.#pipelines ??= this.#store.pipelines().flatMap((name) => {
      try {
        return this.#own(name) ?? [];
      } catch {
        // Other views say that this ledger cannot be read.
        return [];
      }
    });
    const groups = new Map<string, number>();
    const active = this.#pipelines.flatMap((own) => own.active);
    for (const run of active) {
      const group = this.#groupOf(run);
      if (group !== undefined) groups.set(group, (groups.get(group) ?? 0) + 1);
    }
    return (this.#load = { groups, total: active.length });
  }

  #groupOf(run: string): string | undefined {
    let group: string | undefined;
    try {
      readLedger<RunEvent>(this.#store.runLedger(run), {
        each: (line) => {
          if (line.type === "run.submitted") group = line.group;
          return false;
        },
      });
    } catch {
      // It is active and cannot be read, so it counts for no group.
    }
    return group;
  }
}
