import type { Room } from "../core/plan.ts";
import type { Task } from "../core/task.ts";
import type { TaskHandlers } from "./local/runner-process.ts";

/** Where tasks run: `RunnerPool`. */
export interface TaskPool {
  /** How many more steps may be begun now. */
  capacity(): Room;
  start(id: string, task: Task, handlers: TaskHandlers, options?: { readonly alone?: boolean }): void;
  /** Does nothing where no task has this id. */
  stop(id: string, mode: "graceful" | "force", because: string): void;
}
