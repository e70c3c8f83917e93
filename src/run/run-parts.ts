import type { RunEvent } from "../core/event.ts";
import type { RunState } from "../core/run-state.ts";
import type { RunEnvironment } from "./environment.ts";
import type { OutputLine } from "../core/task.ts";
import type { RunJournal } from "./run-journal.ts";
import type { RunDeps } from "./run-deps.ts";
import type { SecretSource } from "../core/secret-source.ts";
import type { StepWaiters } from "./step-waiters.ts";

/**
 * What came of an action. `now`: an event. `later`: nothing yet. `replan`: an event, and what was
 * planned together with the action may no longer hold.
 */
export type ActOutcome = "now" | "later" | "replan";

/**
 * What a run-loop gives to the files that each look after a part of its run: steps, hooks, a
 * dynamic pipeline's calls, a user's orchestrator.
 */
export interface RunParts {
  readonly state: RunState;
  readonly deps: RunDeps;
  readonly journal: RunJournal;
  readonly secrets: SecretSource;
  readonly environment: RunEnvironment;
  readonly waiters: StepWaiters;
  /** Folds an event in. Only within a turn. @returns the time of its line */
  emit(event: RunEvent): string;
  /**
   * The same for an event whose fields may be too long for a line. If they are, they are put aside
   * first, and the event is emitted in a later turn.
   *
   * @param still whether the event still holds when it is to be emitted
   * @param failed called in a turn if the fields cannot be put aside
   */
  emitWhole(event: RunEvent, still: () => boolean, failed: (error: unknown) => void): void;
  /** Something came from outside: `arrival` is called in the next turn, which then plans. */
  arrive(arrival: () => void): void;
  /** Writes what was printed to the run's log. */
  output(lines: readonly OutputLine[]): void;
  /** Whether the daemon is about to end: then nothing new starts. */
  draining(): boolean;
}
