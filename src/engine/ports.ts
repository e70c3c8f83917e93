/**
 * What the engine needs of the rooms below it, as narrow as it uses them, so that a simulation can
 * put its own in their place.
 */
import type { RunHeader } from "../core/event.ts";
import type { RunState } from "../core/run-state.ts";
import type { FinalRunStatus } from "../core/status.ts";
import type { StopAnswer, StopOrder } from "../core/stop-order.ts";

/** How a run ended. */
export interface RunEnd {
  readonly status: FinalRunStatus;
  readonly because: string;
  readonly durationMs: number;
}

/**
 * The most runs of a run's lane, its group and the whole root that may go on at once; what is left
 * out has no limit.
 */
export interface QueueLimits {
  readonly lane?: number;
  readonly group?: number;
  readonly total?: number;
}

/** A run that is being driven (a `RunLoop`). */
export interface RunHandle {
  readonly state: RunState;
  /** The orchestrator is a synchronous one: whoever asks for the run waits for its end. */
  readonly isSynchronous?: boolean;
  /** Resolves once the run's last line is durable; never rejects. */
  readonly finished: Promise<RunEnd>;
  /** Lets the run's steps start; one that was taken over goes on. Does nothing the second time. */
  start(because: string): void;
  /** Records that the run waits for its turn. */
  queue(because: string, limits?: QueueLimits): Promise<void>;
  /** Resolves once the stop is durable. */
  requestStop(order: StopOrder): Promise<StopAnswer>;
  /** Starts nothing new; what runs gets so many milliseconds and is then interrupted. */
  drain(periodMs: number): Promise<void>;
}

/** Makes runs, and takes over those of an earlier daemon. */
export interface RunMaker {
  /**
   * Creates the run's ledger with its header, durably. @param decidedAt the header's time; default:
   * now @throws LedgerExists if the run has been made already
   */
  create(header: RunHeader, decidedAt?: string): Promise<RunHandle>;
  /**
   * Takes an unfinished run over; it does not move before it is told to start. undefined if it had
   * finished. @throws LedgerDamaged, LedgerFormatError, a Node error
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
