/**
 * Runs one task in a place, and decides whose fault it was where the task's runner died.
 *
 * A task that was alone in its runner, or the only one that may be to blame, ended the runner
 * itself: that is its own failure. Of several each is lost: it may run again, and that is not
 * counted as an attempt. One that may be to blame runs again alone. If it ends its runner there as
 * well, the fault is its own. Where the machine was lost, or the way to it, no task is to blame.
 */
import { toStepError, type StepError } from "../core/failure.ts";
import type { Task, TaskResult } from "../core/task.ts";
import type { DeathInfo, Place, TaskHandlers } from "./place.ts";

/** A task that is about to start, and who hears it while it runs. */
export interface TaskStart extends Pick<TaskHandlers, "output" | "call" | "placed"> {
  /** Its fencing token. */
  readonly id: string;
  readonly task: Task;
  /** It runs in a runner of its own. Default: false. */
  readonly alone?: boolean | undefined;
  /** It is begun ahead of a free thread. Default: false. */
  readonly ahead?: boolean | undefined;
}

/** How a task ended. */
export type TaskEnd =
  | { readonly kind: "result"; readonly result: TaskResult; readonly durationMs: number }
  /** It could not be started. */
  | { readonly kind: "unstarted"; readonly error: unknown }
  /** It ended its runner. */
  | { readonly kind: "ownDeath"; readonly death: DeathInfo }
  /** Its runner died, and another task may be to blame, or none: it may run again. */
  | { readonly kind: "lost"; readonly death: DeathInfo };

/** Starts a task. Never throws. @param ended hears once how it ended */
export function runTask(
  place: Place,
  { id, task, alone = false, ahead = false, output, call, placed }: TaskStart,
  ended: (end: TaskEnd) => void,
): void {
  try {
    place.start(
      id,
      task,
      {
        done: (result, durationMs) => ended({ kind: "result", result, durationMs }),
        output,
        call,
        placed,
        died: (death) => ended(endOfDeath(death, alone)),
      },
      { alone, ahead },
    );
  } catch (error) {
    ended({ kind: "unstarted", error });
  }
}

/** How a task ended whose runner died. @param alone it was started alone */
export function endOfDeath(death: DeathInfo, alone: boolean): TaskEnd {
  const own = death.blameless === undefined && (alone || death.alone || death.inFlight.length <= 1);
  return { kind: own ? "ownDeath" : "lost", death };
}

/** Runs a task to its end. Rejects with the place's own error where it could not be started. */
export function awaitTask(
  place: Place,
  start: TaskStart,
): Promise<Exclude<TaskEnd, { readonly kind: "unstarted" }>> {
  return new Promise((resolve, reject) =>
    runTask(place, start, (end) => {
      if (end.kind === "unstarted") reject(end.error);
      else resolve(end);
    }),
  );
}

/**
 * The result of a task that does not run again, whatever its end.
 *
 * @param deathError the error of a task whose runner died
 */
export function resultOf(end: TaskEnd, deathError: (death: DeathInfo) => StepError): TaskResult {
  switch (end.kind) {
    case "result":
      return end.result;
    case "unstarted":
      return { ok: false, outcome: "failed", error: toStepError(end.error) };
    case "ownDeath":
    case "lost":
      return { ok: false, outcome: "failed", error: deathError(end.death) };
  }
}
