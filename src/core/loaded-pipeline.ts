/**
 * A pipeline file that is read, checked and compiled: all that the engine needs to schedule the
 * pipeline and to make its runs.
 */
import type { PipelineNotify } from "./notify-settings.ts";
import type { Overlap } from "./pipeline.ts";
import type { Retention } from "./settings.ts";
import type { Schedule } from "./schedule/schedule-schema.ts";
import type { Json, Snapshot } from "./snapshot.ts";

/** A pipeline that is ready to be scheduled. Plain JSON. */
export interface LoadedPipeline {
  readonly name: string;
  /** The pipeline file's absolute path. */
  readonly file: string;
  /**
   * sha256 over everything that decides what the pipeline does: snapshot, schedules, params,
   * policies. An equal digest needs no reload.
   */
  readonly digest: string;
  /**
   * The pipeline with its default params filled in. A run with other params (from its schedule or
   * its request) uses `snapshotFor(loaded, params)` of compile.ts.
   */
  readonly snapshot: Snapshot;
  /** The pipeline with `${params.…}` still in it. */
  readonly template: Snapshot;
  readonly schedules: readonly Schedule[];
  /** Defaults, by name. */
  readonly params: { readonly [key: string]: Json };
  readonly tags: readonly string[];
  readonly overlap: Overlap;
  /** Undefined: no limit. */
  readonly maxActiveRuns?: number;
  /** How many runs may wait under `queue_all`. */
  readonly maxQueuedRuns: number;
  /** The group of orchd.yaml whose limit the pipeline shares. */
  readonly concurrency?: { readonly group: string; readonly priority: number };
  /** Higher goes first. */
  readonly priority: number;
  /** Slots are recorded and nothing runs. */
  readonly shadow: boolean;
  readonly retention: Retention;
  /** Who is told of it, as written; undefined: as orchd.yaml says. */
  readonly notify?: PipelineNotify;
  /** Warnings about what may surprise a person, one sentence each. */
  readonly warnings: readonly string[];
  /**
   * Absolute paths of all files that make this pipeline out of date when they change: its file, its
   * modules, what they import, and what an install writes.
   */
  readonly watched: readonly string[];
}
