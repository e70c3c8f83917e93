/**
 * A pipeline file, read, checked and compiled: all that the engine needs to schedule it and to make
 * its runs.
 */
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
   * sha256 over everything that decides what it does: the snapshot, schedules, params, policies.
   * Two equal ones need no reload.
   */
  readonly digest: string;
  /**
   * The pipeline with its default params in place. A run with other params (its schedule's, its
   * request's) takes `snapshotFor(loaded, params)` of compile.ts instead.
   */
  readonly snapshot: Snapshot;
  /** The pipeline with `${params.…}` still in it. */
  readonly template: Snapshot;
  readonly schedules: readonly Schedule[];
  /** Defaults by name. */
  readonly params: { readonly [key: string]: Json };
  readonly tags: readonly string[];
  readonly overlap: Overlap;
  /** Undefined: no limit. */
  readonly maxActiveRuns?: number;
  /** How many runs may wait under `queue_all`. */
  readonly maxQueuedRuns: number;
  /** The group of orchd.yaml whose limit it shares. */
  readonly concurrency?: { readonly group: string; readonly priority: number };
  /** The greater goes first. */
  readonly priority: number;
  /** Slots are recorded, nothing runs. */
  readonly shadow: boolean;
  readonly retention: Retention;
  /** What surprises people, a sentence each. */
  readonly warnings: readonly string[];
  /**
   * Absolute paths of every file whose change makes this one out of date: the file, its modules and
   * what they import, the lockfile.
   */
  readonly watched: readonly string[];
}
