/** What the page's Run shows beside `orchd status RUN`: attempts, waits, the cache, values. */
import type { PlacedAt } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import type { Graph } from "./graph.ts";
import type { RunView, StepView } from "./run-view.ts";

/** `GET /api/v1/runs/{r}`. Times are ISO 8601 in UTC. A `StepView` gains what is below. */
export interface RunPage extends Omit<RunView, "steps"> {
  readonly steps: readonly StepPage[];
  /** Secrets by name. */
  readonly params: Readonly<Record<string, Json>>;
  readonly tags: readonly string[];
  /** How long after its slot it began; null for a run by hand, a backfill and a re-run. */
  readonly lateMs: number | null;
  readonly durationMs: number | null;
  /** The pipeline's completed runs: the median, and of how many. */
  readonly usual: { readonly medianMs: number | null; readonly runs: number };
  /** The runs before it, oldest first, and itself last; at most 12. */
  readonly before: readonly {
    readonly run: string;
    readonly status: string;
    readonly durationMs: number | null;
  }[];
  /**
   * What a re-run of what failed would reuse, if the code is still the same; null where it may not
   * be re-run.
   */
  readonly rerun: { readonly reused: number; readonly steps: number } | null;
  /** The ledger's path below runs/, how many lines it has, and whether each is whole. */
  readonly ledger: { readonly file: string; readonly lines: number; readonly fault: string | null };
  readonly graph: Graph;
}

/** One step. */
export interface StepPage extends StepView {
  /** Each attempt, in order: a wait is the time from one's end to the next one's start. */
  readonly timeline: readonly StepAttempt[];
  /** Where its outputs came from, if the cache or a re-run answered. */
  readonly source: { readonly run: string; readonly step: string } | null;
  /**
   * What it was given and what it gave; an artifact is its reference. Only of a run asked for. A
   * long value is `{$cut, characters}`: how its JSON begins, and how long it is.
   */
  readonly inputs: Readonly<Record<string, Json>>;
  readonly outputs: Json | null;
}

/** One attempt of a step. */
export interface StepAttempt {
  readonly attempt: number;
  readonly startedAt: string;
  /** Null while it runs. */
  readonly endedAt: string | null;
  /** completed, failed, retried, stopped, interrupted or running. */
  readonly status: string;
  /** Why it began. */
  readonly because: string | null;
  /** Why it ended so; null while it runs, and where it completed. */
  readonly endedBecause: string | null;
  /** Where it runs or ran. Absent: in a process of the daemon's machine. */
  readonly placed?: PlacedAt;
}
