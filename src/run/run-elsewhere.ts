/**
 * A run that goes on where orchd does not see it: `fetchStatus` is asked every 5 s how it stands,
 * and what became of its steps there is recorded here.
 *
 * A step that orchd runs itself, or that has ended, is left as it is: a status never goes back.
 */
import type { Timer } from "../clock.ts";
import type { StepError } from "../core/failure.ts";
import { stopModeOf } from "../core/halt.ts";
import { allEnded } from "../core/run-status.ts";
import type { Json } from "../core/snapshot.ts";
import { isFinal, STATUSES, type FinalRunStatus, type Status } from "../core/status.ts";
import { iso } from "../core/time.ts";
import type { TaskResult } from "../core/task.ts";
import type { FetchedStatus, PlaceholderRun } from "../orchestrators/submission.ts";
import type { FlavorCalls } from "./flavor-calls.ts";
import type { RunParts } from "./run-parts.ts";

/** How often a run elsewhere is asked after, in milliseconds. */
const FETCH_MS = 5_000;
/** How often at most the ledger tells why nobody can say how the run stands, in milliseconds. */
const TELL_MS = 600_000;
const BECAUSE = "the orchestrator said so";

/** What a run elsewhere is followed with. */
export interface RunElsewhereParts {
  readonly tasks: FlavorCalls;
  /** The orchestrator's name. */
  readonly flavor: string;
  /** The steps that orchd runs itself. */
  readonly requested: ReadonlySet<string>;
  placeholder(): PlaceholderRun;
  /** Nothing is left to ask: all steps have ended. */
  settled(): void;
  /**
   * The orchestrator does not know the run. @param first it never did, since it was first asked
   *
   * @returns whether it need not be asked again
   */
  unknown(first: boolean): boolean;
  /** The orchestrator knows the run, and it goes on there. */
  known(): void;
  /** The run is over there. */
  ended(status: FinalRunStatus): void;
  /** Records an error that makes no run fail. */
  warn(when: string, error: StepError): void;
  /**
   * The orchestrator knows the run of a dynamic pipeline, whose function orchd runs itself: nothing
   * of its steps is recorded here. undefined for a static pipeline.
   *
   * @returns whether it need not be asked again
   */
  readonly dynamic?: ((status: Status) => boolean) | undefined;
}

/** Follows one run; every method is called within a turn. */
export class RunElsewhere {
  readonly #parts: RunParts;
  readonly #of: RunElsewhereParts;
  #poll: Timer | undefined;
  #asking = false;
  #over = false;
  /** Why it cannot say how the run stands, as it was told last; undefined once it could again. */
  #why: string | undefined;
  /** When that was told last, in milliseconds of the monotonic clock. */
  #toldAt = -Infinity;

  constructor(parts: RunParts, of: RunElsewhereParts) {
    this.#parts = parts;
    this.#of = of;
  }

  /**
   * Asks now, and again until the run is over there. Does nothing while it asks already.
   *
   * @param first it has never been known there
   */
  ask(first: boolean): void {
    if (!this.#asking) this.#askNow(first);
  }

  #askNow(first: boolean): void {
    this.#asking = true;
    const argument = { run: this.#of.placeholder() as unknown as Json, includeSteps: true };
    this.#parts.journal.afterwards(() => {
      this.#of.tasks.start({
        method: "fetchStatus",
        argument,
        done: (result) => this.#fetched(result, first),
      });
    });
  }

  /**
   * Records how the steps ended that are not known yet.
   *
   * @returns why the run failed, where it failed there and no step's failure says so
   */
  recordEnd(status: FinalRunStatus): StepError | undefined {
    const { state } = this.#parts;
    // A run that was told to stop has that as its reason.
    if (status === "failed" && stopModeOf(state) !== undefined) return this.recordEnd("stopped");
    const left = [...state.steps.values()].filter(
      (step) => step.phase !== "ended" && !this.#of.requested.has(step.spec.id),
    );
    switch (status) {
      case "completed":
      case "cached":
        for (const { spec } of left) this.#record(spec.id, "completed");
        return undefined;
      case "stopped":
        for (const { spec } of left) this.#record(spec.id, "stopped");
        return undefined;
      case "failed":
        if (state.failed > 0) return undefined;
        return {
          name: "RunFailed",
          message: `the orchestrator ${this.#of.flavor} reported that the run ${status}`,
        };
    }
  }

  /** Asks no more. */
  end(): void {
    this.#over = true;
    this.#poll?.cancel();
  }

  #fetched(result: TaskResult, first: boolean): void {
    const { state, deps, arrive, emit } = this.#parts;
    this.#asking = false;
    if (state.finished !== undefined || allEnded(state)) return this.#of.settled();
    if (result.ok) this.#why = undefined;
    else this.#couldNotSay(result.error);
    const fetched = (result.ok ? (result.value ?? {}) : {}) as FetchedStatus;
    const known = fetched.status !== undefined && STATUSES.includes(fetched.status);
    if (!known && result.ok && this.#of.unknown(first)) return;
    if (known) {
      if (state.submission === "started") emit({ type: "submit.accepted", metadata: {} });
      if (this.#of.dynamic !== undefined) {
        if (this.#of.dynamic(fetched.status)) return;
      } else {
        for (const [id, status] of Object.entries(fetched.steps ?? {})) this.#record(id, status);
        if (isFinal(fetched.status)) return this.#of.ended(fetched.status);
        this.#of.known();
      }
    }
    this.#asking = true;
    this.#poll = deps.clock.after(FETCH_MS, () =>
      arrive(() => void (this.#over || this.#askNow(first && !known))),
    );
  }

  /** Tells why the run waits. A platform that comes and goes fills no disk. */
  #couldNotSay(error: StepError): void {
    const { clock } = this.#parts.deps;
    const now = clock.monotonic();
    if (this.#why === error.message || now - this.#toldAt < TELL_MS) return;
    this.#why = error.message;
    this.#toldAt = now;
    // With the time: it stays the run's reason though the orchestrator can say it again.
    const at = iso(clock.now());
    this.#of.warn(
      `the orchestrator ${this.#of.flavor} could not say at ${at} how the run stands, ` +
        "and is asked again",
      error,
    );
  }

  #record(id: string, status: Status): void {
    const { state, emit, journal } = this.#parts;
    const step = state.steps.get(id);
    if (step === undefined || step.phase === "ended" || this.#of.requested.has(id)) return;
    const line = { step: id, attempt: Math.max(1, step.attempt) };
    if (step.phase !== "running" && ["running", "completed", "cached", "failed"].includes(status))
      emit({ type: "step.started", ...line, elsewhere: true, because: BECAUSE });
    switch (status) {
      case "completed":
      case "cached":
        emit({
          type: "step.completed",
          ...line,
          outputs: { result: null },
          durationMs: Math.max(
            0,
            Date.parse(journal.at) - Date.parse(step.attempts.at(-1)!.startedAt),
          ),
        });
        break;
      case "failed":
        emit({
          type: "step.failed",
          ...line,
          error: { name: "StepFailed", message: "the orchestrator reported that the step failed" },
          because: BECAUSE,
        });
        break;
      case "stopped":
        emit({ type: "step.stopped", ...line, because: BECAUSE });
        break;
      case "skipped":
        emit({ type: "step.skipped", step: id, because: BECAUSE });
        break;
      default:
        break;
    }
  }
}
