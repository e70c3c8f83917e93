/**
 * What the engine needs of the rooms below it, and nothing more than it uses: a simulation can give
 * it others.
 */
import type { RunEvent, RunHeader } from "../core/event.ts";
import type { RunResults } from "../core/run-results.ts";
import type { RunState } from "../core/run-state.ts";
import type { FinalRunStatus } from "../core/status.ts";
import type { StopAnswer, StopOrder } from "../core/stop-order.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { CreateOptions } from "../run/open-run.ts";

/** How a run ended. */
export interface RunEnd {
  readonly status: FinalRunStatus;
  readonly because: string;
  readonly durationMs: number;
  readonly workedMs?: number | undefined;
  /** What its pipeline's ledger says of it beside this. */
  readonly results?: RunResults | undefined;
}

/**
 * The most runs that may be active at the same time: of a run's lane, of its concurrency group, in
 * the whole root. A member that is left out has no limit.
 */
export interface QueueLimits {
  readonly lane?: number;
  readonly group?: number;
  readonly total?: number;
}

/** A run that a run-loop drives (a `RunLoop`). */
export interface RunHandle {
  readonly state: RunState;
  /** The orchestrator is synchronous: a caller that asks for the run waits for its end. */
  readonly isSynchronous?: boolean;
  /** Resolves once the run's last line is durable; never rejects. */
  readonly finished: Promise<RunEnd>;
  /**
   * Lets the run's steps start; a run that was taken over goes on. Does nothing the second time.
   */
  start(because: string): void;
  /** Records that the run waits for its turn. Durable when it resolves. */
  queue(because: string, limits?: QueueLimits): Promise<void>;
  /** Resolves once the stop is durable. */
  requestStop(order: StopOrder): Promise<StopAnswer>;
  /** Looks whether somebody touched the run's ledger, and mends it if so. Cheap. */
  look?(): void;
  /**
   * Starts nothing new. Running steps get the period, in milliseconds, and are then interrupted.
   */
  drain(periodMs: number): Promise<void>;
}

/** A run whose header is durable, and that nothing drives yet. */
export interface ReservedRun {
  readonly state: RunState;
  /**
   * Drives it, from now to its end. Call it once.
   *
   * @param given what its submission has in place of the snapshot's; durable first
   * @param flavor the orchestrator, where it is not the snapshot's
   */
  drive(given?: SubmissionGiven, flavor?: Flavor): Promise<RunHandle>;
}

/** What a program gives with a submission. */
export type SubmissionGiven = Extract<RunEvent, { type: "submit.given" }>;

/** Makes runs, and takes over the runs of an earlier daemon. */
export interface RunMaker {
  /**
   * Creates the run's ledger with its header, durably.
   *
   * @throws LedgerExists if the run was made already
   */
  create(header: RunHeader, options?: CreateOptions): Promise<RunHandle>;
  /**
   * Takes over an unfinished run. The run does not move before `start`.
   *
   * @returns undefined if the run had finished
   * @throws LedgerDamaged, LedgerFormatError, a Node error
   */
  recover(run: string): Promise<RunHandle | undefined>;
}

/** A request about the ledgers themselves. */
export type UpkeepRequest =
  | {
      readonly type: "prune";
      readonly pipeline?: string | undefined;
      readonly keepDays?: number | undefined;
      readonly keepRuns?: number | undefined;
      readonly keepBytes?: number | undefined;
      readonly dryRun?: boolean | undefined;
    }
  | { readonly type: "repair"; readonly run: string }
  | { readonly type: "rebuild" };
