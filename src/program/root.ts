/** What a program has open, and what it can ask of it (docs/programs.md). */
import type { DynamicPipeline } from "../steps/dynamic-pipeline.ts";
import type { Pipeline } from "../steps/authoring.ts";
import type {
  DynamicPipelineSubmission,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "../orchestrators/submission.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Json, Snapshot } from "../core/snapshot.ts";

/** Which folders a root has, where they are not `schedules` and `runs` in it. */
export interface OpenRootOptions {
  /** The drop folder. */
  readonly schedules?: string | undefined;
  /** The ledgers. */
  readonly runs?: string | undefined;
}

/** What a placeholder run is made with. */
export interface PlaceholderOptions {
  /** Params that replace the pipeline's own. */
  readonly params?: { readonly [name: string]: Json } | undefined;
  /** No earlier result is used. Default: false. */
  readonly noCache?: boolean | undefined;
}

/** An orchestrator of an open root. Its submissions always give a result, or nothing. */
export type RootOrchestrator = {
  submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult | undefined>;
  submitDynamicPipeline(
    submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult | undefined>;
} & BaseOrchestrator;

/** A root that a program has open: what `openRoot` gives. */
export interface OpenRoot extends AsyncDisposable {
  /** The root's folder, absolute. */
  readonly path: string;
  /**
   * An orchestrator: `local`, or one that orchd.yaml names.
   *
   * @throws Error, a sentence, if there is none of that name
   */
  orchestrator(name: string): RootOrchestrator;
  /**
   * Compiles a pipeline and checks it, as the daemon does.
   *
   * A definition in code is loaded in a runner, from the file that called `pipeline()` or
   * `dynamicPipeline()`: what stands in it before `openRoot` runs there too, in each thread.
   *
   * @param of a pipeline's name, the path of a pipeline file, or a definition in code
   * @throws Error with a sentence for each thing that is wrong, with file, line and field
   */
  snapshot(of: string | Pipeline | DynamicPipeline): Promise<Snapshot>;
  /**
   * Makes a run of a snapshot. Its steps start with `submitPipeline` of an orchestrator.
   *
   * @param snapshot from this root's {@link snapshot}
   * @throws Error, a sentence, if its params are refused
   */
  placeholder(snapshot: Snapshot, options?: PlaceholderOptions): Promise<PlaceholderRun>;
  /**
   * Closes the root. Where the program holds it, runs that still run are stopped first.
   *
   * @param options.force running steps are ended too. Default: false
   */
  close(options?: { readonly force?: boolean }): Promise<void>;
}
