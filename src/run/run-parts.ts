import type { RunEvent } from "../core/event.ts";
import type { RunState } from "../core/run-state.ts";
import type { RunEnvironment } from "./environment.ts";
import type { OutputLine } from "../core/task.ts";
import type { RunJournal } from "./run-journal.ts";
import type { RunDeps } from "./run-deps.ts";
import type { SecretSource } from "./secrets.ts";
import type { StepWaiters } from "./step-waiters.ts";

/**
 * What became of an action. `now`: an event came of it; `later`: nothing did yet; `replan`: one
 * did, and what was planned with it may no longer hold.
 */
export type ActOutcome = "now" | "later" | "replan";

/**
 * What a run-loop gives to those that look after a part of its run: its steps, its hooks, a dynamic
 * pipeline's calls, an orchestrator's.
 */
export interface RunParts {
  readonly state: RunState;
  readonly deps: RunDeps;
  readonly journal: RunJournal;
  readonly secrets: SecretSource;
  readonly environment: RunEnvironment;
  readonly waiters: StepWaiters;
  /** Folds an event in; only within a turn. Gives the time of its line. */
  emit(event: RunEvent): string;
  /**
   * The same for an event whose fields may be too long for a line: at once, or after they were put
   * aside, if it is `still` wanted then.
   */
  emitWhole(event: RunEvent, still: () => boolean, failed: (error: unknown) => void): void;
  /**
   * Something came from outside: it is heard in the next turn, and what follows from it is planned
   * then.
   */
  arrive(arrival: () => void): void;
  /** Something was printed. */
  output(lines: readonly OutputLine[]): void;
  /** The daemon ends: nothing new starts. */
  draining(): boolean;
}
