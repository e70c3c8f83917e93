/** What a step's task has more, or less, where it runs on another machine. */
import type { ModuleTask, ShellTask } from "../core/task.ts";
import { withoutThisMachine } from "./container-task.ts";
import type { Layer } from "./environment.ts";

/**
 * The task of a step on another machine: with the labels that it wants, and without this machine's
 * PATH and HOME. What runs it there adds its own.
 *
 * @param set the variables that somebody set for the step
 */
export function farTask<T extends ModuleTask | ShellTask>(
  task: T,
  on: readonly string[],
  set: Layer,
): T {
  return { ...task, env: withoutThisMachine(task.env, set), on };
}
