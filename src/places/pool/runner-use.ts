/** Which runner is for which task, and which tasks may run again where theirs died. */
import { totalmem } from "node:os";
import type { Task } from "../../core/task.ts";
import type { RunnerSettings } from "./protocol.ts";

/** The part of the machine's memory that a runner for loads may use, and how many MiB at least. */
const LOADS_PART = 0.25;
const LOADS_LEAST_MB = 512;

/** What a shared runner is for. */
export type Use = "steps" | "loads";

/**
 * Which shared runner a task uses. To load a file, and to ask what an orchestrator declares, is
 * done before anything is in force. A cache function, a hook, `fetchStatus` and `stopRun` belong to
 * runs of what is.
 */
export function useOf(task: Task): Use {
  return task.kind === "load" || (task.kind === "flavor" && task.method === "describe")
    ? "loads"
    : "steps";
}

/** A load that eats memory must be ended before the machine looks for somebody to end. */
export function forLoads(settings: RunnerSettings): RunnerSettings {
  const part = Math.floor((LOADS_PART * totalmem()) / 1024 / 1024);
  const memoryMb = Math.min(
    settings.memoryMb ?? Number.POSITIVE_INFINITY,
    Math.max(LOADS_LEAST_MB, part),
  );
  return { ...settings, memoryMb };
}

/**
 * Whether a task whose runner died may run again without asking: it answers a question, or it may
 * run more than once (`onMissed`).
 */
export function mayRepeat(task: Task): boolean {
  switch (task.kind) {
    case "load":
    case "cacheFunction":
      return true;
    case "flavor":
      return task.method === "describe" || task.method === "fetchStatus";
    case "hook":
      return task.hook === "onMissed";
    case "module":
    case "shell":
    case "dynamic":
      return false;
  }
}
