/**
 * Notices two things, without settings: a slot whose run does not start, and a run that takes far
 * longer than earlier runs of its pipeline. It reports each once: a line in the pipeline's ledger,
 * which the log repeats as a warning. After a restart that line shows that it was reported. It
 * changes nothing else.
 */
import type { Clock } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { PipelineEvent } from "../core/event.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { parseRunId } from "../core/run-id.ts";
import type { ActiveRun } from "./active-runs.ts";

/** A slot's run that has waited for this long is late, in milliseconds. */
const GRACE_MS = 60_000;
/** A history of fewer runs says nothing. */
const ENOUGH_RUNS = 20;
/** A run is overdue when it takes this many times as long as the history. */
const TIMES = 3;
/**
 * A shorter run is never overdue: three times next to nothing is next to nothing. In milliseconds.
 */
const SHORTEST_MS = 1_000;

/** What the watch needs. */
export interface OverduePorts {
  readonly clock: Clock;
  readonly runs: () => Iterable<ActiveRun>;
  readonly stateOf: (pipeline: string) => PipelineState | undefined;
  readonly append: (pipeline: string, event: PipelineEvent) => void;
}

/** Watches the runs of one daemon. */
export class OverdueWatch {
  readonly #ports: OverduePorts;
  /** What was reported of each run. Its line may not be durable yet. */
  readonly #said = new Map<string, { late: boolean; overdue: boolean }>();

  constructor(ports: OverduePorts) {
    this.#ports = ports;
  }

  /** Looks at every run that is active or waits. */
  look(): void {
    const now = this.#ports.clock.monotonic();
    const there = new Set<string>();
    for (const run of this.#ports.runs()) {
      const { run: id, pipeline, kind } = run.ticket;
      const elapsedMs = now - run.since;
      there.add(id);
      const said = this.#saidOf(id, pipeline);
      if (run.going) {
        // Earlier daemons worked on it too.
        const workedMs = elapsedMs + (run.handle?.state.workedMs ?? 0);
        said.overdue = said.overdue || this.#overdue(id, pipeline, workedMs, "goes on for");
      } else if (
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
   * A run ended. It may have been long for its pipeline and still have come and gone between two
   * looks.
   *
   * @param workedMs how long daemons worked on it
   */
  ended(run: string, pipeline: string, workedMs: number): void {
    if (!this.#saidOf(run, pipeline).overdue) this.#overdue(run, pipeline, workedMs, "took");
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
    const because =
      `run ${run} ${says} ${formatDuration(elapsedMs)}; 99 of 100 of the last ` +
      `${durations.length} took no more than ${formatDuration(usual)}`;
    this.#ports.append(pipeline, { type: "run.overdue", run, because });
    return true;
  }
}

/**
 * The 99th percentile: the longest of fewer than a hundred durations, the second longest of a
 * hundred. One pass, because a look may have a thousand runs to check.
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
