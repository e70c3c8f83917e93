/**
 * How the submission of a run ends: nothing more is asked for, or it failed. What the orchestrator
 * has not asked for by then does not run.
 *
 * States: open (the orchestrator may still ask for steps) -> closed, for good.
 */
import {
  FAILURE_CODES,
  clipError,
  errorTree,
  failureText,
  type StepError,
} from "../core/failure.ts";
import { stopModeOf } from "../core/halt.ts";
import { allEnded } from "../core/run-status.ts";
import type { AskedSteps } from "./asked-steps.ts";
import type { DynamicCalls } from "./dynamic-calls.ts";
import type { RunParts } from "./run-parts.ts";

/** What the end of a submission is told with. */
export interface SubmissionEndParts {
  /** The orchestrator's name. */
  readonly flavor: string;
  readonly asked: AskedSteps;
  /** A dynamic pipeline's function. */
  readonly calls: DynamicCalls | undefined;
  /** The orchestrator has asked for that function to be run. */
  runsFunction(): boolean;
}

/** The end of one run's submission; every method is called within a turn. */
export class SubmissionEnd {
  readonly #parts: RunParts;
  readonly #of: SubmissionEndParts;
  #open = true;

  constructor(parts: RunParts, of: SubmissionEndParts) {
    this.#parts = parts;
    this.#of = of;
  }

  /** Whether the orchestrator may still ask for steps. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Nothing is left for the orchestrator to do. */
  skip(): void {
    this.#open = false;
  }

  /** The orchestrator asks for nothing more. What it has not asked for does not run. */
  close(): void {
    const { asked, calls } = this.#of;
    asked.noMore();
    this.#open = false;
    const { state } = this.#parts;
    if (calls !== undefined) {
      if (!this.#of.runsFunction() && state.function === "owed")
        this.fail({
          name: "SubmissionError",
          message: "the orchestrator ended without running the pipeline's function",
        });
      return;
    }
    const left = [...state.steps.values()].filter(
      (step) =>
        step.phase !== "ended" &&
        step.phase !== "running" &&
        step.phase !== "delayed" &&
        !state.doomed.has(step.spec.id) &&
        !asked.steps.has(step.spec.id),
    );
    const halted =
      state.failed > 0 ||
      state.stop !== undefined ||
      state.timedOut !== undefined ||
      state.init === "failed";
    if (left.length === 0 || halted) return;
    const names = left.map(({ spec }) => JSON.stringify(spec.id)).join(", ");
    this.fail({
      name: "SubmissionError",
      message: `the orchestrator ended without running ${names.slice(0, 1_000)}`,
    });
  }

  /** The submission failed. */
  fail(error: StepError): void {
    const { calls } = this.#of;
    this.#open = false;
    this.#parts.emit({
      type: "submit.failed",
      error: { ...clipError(error), code: error.code ?? FAILURE_CODES.submission },
    });
    if (calls !== undefined && !this.#of.runsFunction())
      calls.stop("the orchestrator did not take the run");
  }

  /** The orchestrator threw: it refused the run, or it passes on what is known already. */
  refused(error: StepError): void {
    const { state } = this.#parts;
    // An orchestrator that passes on the error of a failed step has not refused the run: the step's
    // failure is the run's.
    const passedOn =
      state.failed > 0 ||
      state.stop !== undefined ||
      state.timedOut !== undefined ||
      state.functionError !== undefined ||
      state.init === "failed";
    if (!passedOn && !allEnded(state)) return this.fail(error);
    if (!this.#isKnown(error))
      this.warn("it threw after the end of all that it had asked for", error);
    this.close();
  }

  /** Nobody knows whether the orchestrator has the run. */
  unknown(): void {
    this.fail({
      name: "SubmissionUnknown",
      message:
        `submission unknown: the daemon ended while the orchestrator ${this.#of.flavor} ` +
        "had the run, and it tells nothing by fetchStatus; let it declare resubmits if it may be " +
        "asked again",
      code: FAILURE_CODES.submission,
    });
  }

  /** Records an error that makes no run fail. */
  warn(when: string, error: StepError): void {
    const { deps, state, emit } = this.#parts;
    const clipped = clipError(error);
    const because = `${when}: ${failureText(clipped)}`.slice(0, 4_096);
    emit({ type: "submit.warning", error: { ...clipped }, because });
    deps.log.warn({ run: state.run }, because);
  }

  /** Whether the ledger has an error already: a step's, the function's, or that of a stop. */
  #isKnown(error: StepError): boolean {
    const { state } = this.#parts;
    if (stopModeOf(state) !== undefined) return true;
    const known = [state.functionError, ...[...state.steps.values()].map((step) => step.error)];
    const messages = new Set(known.map((each) => each?.message));
    return [...errorTree(error)].some(({ message }) => messages.has(message));
  }
}
