import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { OrchestratorRef } from "../core/snapshot.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { Stack } from "../orchestrators/stack.ts";
import type {
  FetchedStatus,
  PlaceholderRun,
  SubmissionResult,
} from "../orchestrators/submission.ts";
import type { FoundPipeline } from "../engine/find-pipeline.ts";
import type { LoadOptions } from "../engine/held-root.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import type { PlaceholderOptions } from "./root.ts";

/** What a program gives with a submission. */
export interface ProgramSubmission {
  readonly orchestrator: BaseOrchestrator;
  /** Its pipeline is a definition of the program's own code. */
  readonly isInline: boolean;
  readonly stack: Stack | undefined;
  /** The environment of the stack's components. */
  readonly stackEnvironment: Readonly<Record<string, string>>;
  /** Laid over the base layer of the run's environment. */
  readonly baseEnvironment: Readonly<Record<string, string>>;
  /** Laid over each step's own `env`, by step id. */
  readonly stepEnvironments: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * How the runs of an open root come to be: this process makes and drives them (held-runs.ts), or
 * the daemon is asked to (asked-runs.ts).
 */
export interface RootRuns {
  readonly settings: OrchdSettings;
  /** Finds a pipeline by its name. */
  find(name: string): Promise<FoundPipeline>;
  /** Loads a pipeline file. */
  load(path: string, options?: LoadOptions): Promise<LoadResult>;
  /** Makes a run, or takes an id for one. @throws Error, a sentence */
  placeholder(loaded: LoadedPipeline, options: PlaceholderOptions): Promise<PlaceholderRun>;
  /** An orchestrator of orchd.yaml. @throws SubmissionRefused if it cannot be used */
  flavor(ref: OrchestratorRef): Promise<Flavor>;
  /**
   * Lets a run start, and resolves once its orchestrator has accepted it.
   *
   * @throws Error, a sentence; what a live instance throws
   */
  submit(run: string, submission: ProgramSubmission): Promise<SubmissionResult>;
  /** Resolves once the run has ended, and its ledger says so. @throws Error if it lost its end */
  finished(run: string): Promise<void>;
  /**
   * How a live instance says that a run stands elsewhere; undefined where none is asked. Rejects
   * with what it throws.
   */
  elsewhere(run: PlaceholderRun, includeSteps: boolean): Promise<FetchedStatus | undefined>;
  /** Asks a run to stop. Resolves once that is durable. @throws Error, a sentence */
  stop(run: string, mode: "graceful" | "force"): Promise<void>;
  close(mode: "graceful" | "force"): Promise<void>;
}
