import type { Room } from "../core/lane.ts";
import type { Json } from "../core/snapshot.ts";
import type { OutputLine, Task, TaskResult } from "../core/task.ts";

/** What is known of a runner's death. */
export interface DeathInfo {
  /**
   * Every piece of work that may be to blame: what was in it, this one included, and what had just
   * ended.
   */
  readonly inFlight: readonly string[];
  /** It was a runner of its own (`start(…, {alone: true})`): whose fault it was is plain. */
  readonly alone: boolean;
  /** For people: `the runner was ended by SIGKILL`. */
  readonly because: string;
  /** `FAILURE_CODES.memory` or `FAILURE_CODES.runnerDied`. */
  readonly code: string;
}

/** Who is told what becomes of a piece of work. */
export interface TaskHandlers {
  /**
   * It ended. `durationMs` is monotonic, from its begin; `startedAt` is wall time, milliseconds
   * since 1970.
   */
  done(result: TaskResult, durationMs: number, startedAt: number): void;
  /** It printed or logged. */
  output(lines: readonly OutputLine[]): void;
  /** It asks the daemon for something; a rejection becomes its error. */
  call?(method: string, argument: Json): Promise<Json>;
  /** Its runner died under it. */
  died(info: DeathInfo): void;
}

/** Where tasks run: `RunnerPool`. */
export interface TaskPool {
  /** How many more steps may be begun now. */
  capacity(): Room;
  start(
    id: string,
    task: Task,
    handlers: TaskHandlers,
    options?: { readonly alone?: boolean },
  ): void;
  /** Does nothing where no task has this id. */
  stop(id: string, mode: "graceful" | "force", because: string): void;
}
