import type { RunResults } from "../core/run-results.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { FinalRunStatus } from "../core/status.ts";

/** How a run ended. */
export interface FinishedRun {
  readonly run: string;
  readonly pipeline: string;
  readonly status: FinalRunStatus;
  readonly because: string;
  /** From its start to its end by the wall clock: the difference of two lines' times. */
  readonly durationMs: number;
  /** How long daemons worked on it, where that is not its duration. */
  readonly workedMs?: number | undefined;
  readonly startedAt?: string | undefined;
  readonly finishedAt: string;
  readonly snapshot: Snapshot;
  readonly results: RunResults;
}
