/**
 * Notices, without settings, a slot whose run does not get to start, and a run that takes far longer than its pipeline's own history. Each is said once:
 * a line in the pipeline's ledger, and a warning. It changes nothing.
 */
import type { Clock } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { PipelineEvent } from "../core/event.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { parseRunId } from "../core/run-id.ts";
import type { ActiveRun } from "./active-runs.ts";

/** A slot's run that has not started by then is late, in milliseconds. */
const GRACE_MS = 60_000;
/** A history says something from so many runs on. */
const ENOUGH_RUNS = 20;
const TIMES = 3;
/** Less than this is never overdue: it is not looked at more often than every half minute. */
const SHORTEST_MS = 30_000;

/** What the watch needs. */
export interface OverduePorts {
  readonly clock: Clock;
  readonly runs: () => Iterable<ActiveRun>;
  readonly stateOf: (pipeline: string) => PipelineState | undefined;
  readonly append: (pipeline: string, event: PipelineEvent) => void;
}

/** See the head of this file. */
export class OverdueWatch {
  readonly #ports: OverduePorts;
  /** When each run was first seen waiting, and going, in monotonic milliseconds; and what was said of it. */
  readonly #seen = new Map<string, { waiting?: number; going?: number; late?: boolean; overdue?: boolean }>();

  constructor(ports: OverduePorts) {
    this.#ports = ports;
  }

  /** Looks at every run that goes on or waits. */
  look(): void {
    const now = this.#ports.clock.monotonic();
    const there = new Set<string>();
    for (const run of this.#ports.runs()) {
      const { run: id, pipeline, kind } = run.place;
      there.add(id);
      let seen = this.#seen.get(id);
      if (seen === undefined) this.#seen.set(id, (seen = {}));
      if (!run.going) {
        seen.waiting ??= now;
        if (seen.late !== true && (kind === "schedule" || kind === "catch_up") && now - seen.waiting >= GRACE_MS) {
          seen.late = true;
          this.#late(id, pipeline, run.because, now - seen.waiting);
        }
        continue;
      }
      seen.going ??= now;
      if (seen.overdue !== true) seen.overdue = this.#overdue(id, pipeline, now - seen.going);
    }
    for (const id of this.#seen.keys()) if (!there.has(id)) this.#seen.delete(id);
  }

  #late(run: string, pipeline: string, because: string, waitedMs: number): void {
    const slot = parseRunId(run)?.slot;
    if (slot === undefined) return;
    this.#ports.append(pipeline, { type: "slot.late", slot, run, because: `run ${run} has waited for ${formatDuration(waitedMs)}: ${because}` });
  }

  #overdue(run: string, pipeline: string, elapsedMs: number): boolean {
    if (elapsedMs < SHORTEST_MS) return false;
    const durations = this.#ports.stateOf(pipeline)?.durations ?? [];
    if (durations.length < ENOUGH_RUNS) return false;
    const sorted = [...durations].sort((a, b) => a - b);
    const usual = sorted[Math.ceil(sorted.length * 0.99) - 1]!;
    if (elapsedMs < TIMES * usual) return false;
    const because = `run ${run} goes on for ${formatDuration(elapsedMs)}; 99 of 100 of the last ${durations.length} took no more than ${formatDuration(usual)}`;
    this.#ports.append(pipeline, { type: "run.overdue", run, because });
    return true;
  }
}
