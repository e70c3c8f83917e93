/**
 * How a run is stopped that a user's orchestrator has: its `stopRun` is called, and what it did
 * there ends when the orchestrator says so.
 *
 * A step that orchd was not asked for may run where the orchestrator is, so nothing is said of it
 * at once. These can tell the run's end, and the first one that does decides:
 *
 * - `waitForCompletion` ends, well or badly;
 * - `fetchStatus` gives a final status: it is asked every 5 s once `stopRun` has answered;
 * - `stopRun` returned, and neither of the two is there any more: the daemon or the runner that
 *   waited has ended, or `fetchStatus` does not know the run.
 *
 * States of `stopRun`: not called -> answering -> accepted or failed (`stop.accepted`,
 * `stop.failed`). A stronger stop calls it again, and so does each daemon that takes the run over:
 * it is called at least once, and may be called for a run that it has stopped already. While it is
 * answering the run does not end: what it throws is told before the last line.
 *
 * A stop by force does not wait for ever for a `waitForCompletion` that does not return: after
 * `stopRun` has returned, it gets the grace period. But where `stopRun` failed and somebody can
 * still tell, the run is not said to have ended: it may well go on there.
 */
import type { Timer } from "../clock.ts";
import { clipError, failureText, type StepError } from "../core/failure.ts";
import { stopModeOf } from "../core/halt.ts";
import type { DelegatedFacts } from "../core/plan.ts";
import type { Json } from "../core/snapshot.ts";
import type { FinalRunStatus } from "../core/status.ts";
import type { TaskResult } from "../core/task.ts";
import type { PlaceholderRun } from "../orchestrators/submission.ts";
import type { FlavorCalls } from "./flavor-calls.ts";
import type { RunElsewhere } from "./run-elsewhere.ts";
import type { RunParts } from "./run-parts.ts";

type StopMode = "graceful" | "force";

/** What a run elsewhere is stopped with. */
export interface StopElsewhereParts {
  readonly tasks: FlavorCalls;
  /** Follows the run; undefined if the orchestrator has no `fetchStatus`. */
  readonly status: RunElsewhere | undefined;
  /** The orchestrator's name. */
  readonly flavor: string;
  placeholder(): PlaceholderRun;
  /** Steps that orchd was not asked for may run there. */
  isElsewhere(): boolean;
  /** The task of the submission, which may wait for the run's end. */
  submitting(): string | undefined;
  /** The run is over there. */
  ended(status: FinalRunStatus): void;
}

/** Stops one run elsewhere; every method is called within a turn. */
export class StopElsewhere {
  readonly #parts: RunParts;
  readonly #of: StopElsewhereParts;
  #told: StopMode | undefined;
  #answer: "none" | "answering" | "accepted" | "failed" = "none";
  /** How waiting for the run's end ended; undefined while it waits, or if the wait was lost. */
  #waited: "well" | "badly" | undefined;
  /** `fetchStatus` does not know the run. */
  #unknown = false;
  #calls = 0;
  /** Insists after a run's time limit. */
  #insist: Timer | undefined;
  /** Ends a wait that does not end. */
  #endWait: Timer | undefined;
  #abandoned = false;

  constructor(parts: RunParts, of: StopElsewhereParts) {
    this.#parts = parts;
    this.#of = of;
  }

  /** For the planner. */
  get facts(): NonNullable<DelegatedFacts["stopRun"]> {
    return {
      told: this.#told,
      answering: this.#answer === "answering",
      elsewhere: this.#of.isElsewhere(),
    };
  }

  /** Whether nothing is under way that the daemon's end waits for. */
  get idle(): boolean {
    return this.#abandoned || this.#answer !== "answering";
  }

  /** Tells the orchestrator to stop the run. A time limit asks first, and insists later. */
  tell(mode: StopMode): void {
    const { state, deps, arrive } = this.#parts;
    this.#told = mode;
    this.#insist?.cancel();
    const isLimit = state.timedOut !== undefined && state.stop === undefined;
    if (!isLimit || mode === "graceful") return this.#call(mode);
    this.#call("graceful");
    this.#insist = deps.clock.after(state.snapshot.gracePeriodMs, () =>
      arrive(() => void (state.finished === undefined && this.#call("force"))),
    );
  }

  /** The orchestrator has the run only now: what it was told before was about nothing. */
  forget(): void {
    this.#told = undefined;
  }

  /** Waiting for the run's end ended. */
  waited(how: "well" | "badly" | undefined): void {
    this.#waited = how;
    this.settle();
  }

  /** What `fetchStatus` said of the run. */
  fetched(isKnown: boolean): void {
    this.#unknown = !isKnown;
    if (!isKnown) this.settle();
  }

  /** Ends the run here if nobody can tell its end any more. */
  settle(): void {
    const mode = stopModeOf(this.#parts.state);
    if (mode === undefined || !this.#of.isElsewhere()) return;
    if (this.#answer === "none" || this.#answer === "answering") return;
    const asks = this.#of.status !== undefined && !this.#unknown;
    if (asks) this.#of.status.ask(false);
    if (this.#of.submitting() !== undefined) return this.#endWaiting(mode);
    if (asks) return;
    const failed = this.#answer === "failed";
    if (failed && this.#waited === "well") return this.#of.ended("completed");
    if (failed && this.#waited === undefined && mode !== "force") return;
    this.#of.ended("stopped");
  }

  /** The run is no longer driven, or the daemon ends and its time is up. */
  end(): void {
    this.#abandoned = true;
    this.#insist?.cancel();
    this.#endWait?.cancel();
  }

  #call(mode: StopMode, alone = false): void {
    const { journal } = this.#parts;
    const call = (this.#calls += 1);
    this.#answer = "answering";
    const argument = {
      run: this.#of.placeholder() as unknown as Json,
      graceful: mode === "graceful",
    };
    journal.afterwards(() => {
      this.#of.tasks.start({
        method: "stopRun",
        argument,
        alone,
        done: (result) => this.#answered(call, mode, result),
        lost: alone ? undefined : () => void (call === this.#calls && this.#call(mode, true)),
      });
    });
  }

  #answered(call: number, mode: StopMode, result: TaskResult): void {
    const { state, emit } = this.#parts;
    if (state.finished !== undefined) return;
    if (result.ok)
      emit({ type: "stop.accepted", mode, because: `${this.#of.flavor} stopped the run` });
    else this.#failed(mode, result.error);
    // A stronger stop was told meanwhile, and its answer counts.
    if (call !== this.#calls) return;
    this.#answer = result.ok ? "accepted" : "failed";
    this.settle();
  }

  #failed(mode: StopMode, error: StepError): void {
    const { state, emit, deps } = this.#parts;
    const clipped = clipError(error);
    const because =
      `the orchestrator ${this.#of.flavor} could not stop the run: ` + failureText(clipped);
    emit({ type: "stop.failed", mode, error: { ...clipped }, because: because.slice(0, 4_096) });
    deps.log.warn({ run: state.run }, because);
  }

  /** The submission still runs: it waits, or it has not accepted the run yet. */
  #endWaiting(mode: StopMode): void {
    const { state, deps, arrive } = this.#parts;
    const isWaiting = state.submission === "accepted";
    if (this.#answer !== "accepted" || (isWaiting && mode !== "force")) return;
    this.#endWait ??= deps.clock.after(state.snapshot.gracePeriodMs, () =>
      arrive(() => {
        const task = this.#of.submitting();
        if (task !== undefined) this.#of.tasks.stop(task, "the run was stopped");
      }),
    );
  }
}
