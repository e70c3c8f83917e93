/**
 * Notices, without settings, a slot whose run does not get to start, and a run that takes far
 * longer than its pipeline's own history. Each is said once: a line in the pipeline's ledger, and a
 * warning; after a restart that line is what says that it was said. It changes nothing.
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
/** Less than this is never overdue: three times next to nothing is next to nothing. */
const SHORTEST_MS = 1_000;

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
  /** What was said of each run; its line may still be on its way. */
  readonly #said = new Map<string, { late: boolean; overdue: boolean }>();

  constructor(ports: OverduePorts) {
    this.#ports = ports;
  }

  /** Looks at every run that goes on or waits. */
  look(): void {
    const now = this.#ports.clock.monotonic();
    const there = new Set<string>();
    for (const run of this.#ports.runs()) {
      const { run: id, pipeline, kind } = run.ticket;
      const elapsedMs = now - run.since;
      there.add(id);
      const said = this.#saidOf(id, pipeline);
      if (run.going)
        said.overdue = said.overdue || this.#overdue(id, pipeline, elapsedMs, "goes on for");
      else if (
        !said.late &&
        (kind === "schedule" || kind === "catch_up") &&
        elapsedMs >= GRACE_MS
      ) {
        said.late = true;
        this.#late(id, pipeline, run.because, elapsedMs);
      }
    }
    for (const id of this.#said.keys()) if (!there.has(id)) this.#said.delete(id);
  }

  /**
   * A run ended. One that was short in all, and long for its pipeline, may have come and gone
   * between two looks.
   */
  ended(run: string, pipeline: string, durationMs: number): void {
    if (!this.#saidOf(run, pipeline).overdue) this.#overdue(run, pipeline, durationMs, "took");
    this.#said.delete(run);
  }

  #saidOf(run: string, pipeline: string): { late: boolean; overdue: boolean } {
    let said = this.#said.get(run);
    if (said === undefined) {
      const before = this.#ports.stateOf(pipeline)?.active.get(run);
      this.#said.set(
        run,
        (said = { late: before?.late === true, overdue: before?.overdue === true }),
      );
    }
    return said;
  }

  #late(run: string, pipeline: string, because: string, waitedMs: number): void {
    const slot = parseRunId(run)?.slot;
    if (slot === undefined) return;
    this.#ports.append(pipeline, {
      type: "slot.late",
      slot,
      run,
      because: `run ${run} has waited for ${formatDuration(waitedMs)}: ${because}`,
    });
  }

  #overdue(run: string, pipeline: string, elapsedMs: number, says: string): boolean {
    if (elapsedMs < SHORTEST_MS) return false;
    const durations = this.#ports.stateOf(pipeline)?.durations ?? [];
    if (durations.length < ENOUGH_RUNS) return false;
    const usual = longest(durations);
    if (elapsedMs < TIMES * usual) return false;
    const because = `run ${run} ${says} ${formatDuration(elapsedMs)}; 99 of 100 of the last ${durations.length} took no more than ${formatDuration(usual)}`;
    this.#ports.append(pipeline, { type: "run.overdue", run, because });
    return true;
  }
}

/**
 * The 99th percentile: of fewer than a hundred the longest, of a hundred the one before it. One
 * pass, since a thousand runs may be looked at.
 */
function longest(durations: readonly number[]): number {
  let first = 0;
  let second = 0;
  for (const duration of durations) {
    if (duration > first) [first, second] = [duration, first];
    else if (duration > second) second = duration;
  }
  return durations.length < 100 ? first : second;
}
