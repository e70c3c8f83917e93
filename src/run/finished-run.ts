import type { Snapshot } from "../core/snapshot.ts";
import type { FinalRunStatus } from "../core/status.ts";

/** How a run ended. */
export interface FinishedRun {
  readonly run: string;
  readonly pipeline: string;
  readonly status: FinalRunStatus;
  readonly because: string;
  readonly durationMs: number;
  readonly startedAt?: string | undefined;
  readonly finishedAt: string;
  readonly snapshot: Snapshot;
}
