/**
 * A **piece** is a task as the runner's main thread sees it. This file also says how a piece ends
 * that does not end by itself: it was told to, it was ended for a fault of its own, or its thread
 * died.
 */
import type { Timer } from "../../clock.ts";
import { clipError, FAILURE_CODES, toStepError, type StepError } from "../../core/failure.ts";
import { outOfMemory } from "../../steps/memory-watch.ts";
import type { FromThread } from "../../steps/thread-protocol.ts";
import type { RawResult, TaskHead } from "../pool/protocol.ts";
import type { OutsideLook } from "./outside-look.ts";
import type { ShellStep } from "./shell-step.ts";
import type { Placed } from "./warm-threads.ts";

/** A task that waits or runs. */
export interface Piece extends Placed {
  shell?: ShellStep;
  /** It was told to end, and why. */
  ending?: { outcome: "stopped" | "timeout"; because: string; forced: boolean; heard: boolean };
  readonly timers: Timer[];
  /** Its log says why it waits for a thread. */
  isTold?: boolean;
  killing?: boolean;
  /** Its own fault, for which it is ended. */
  fault?: StepError;
  /** Why it is ended though another may be to blame: it must start again, alone. */
  aside?: string;
  look?: OutsideLook;
}

/** The result that a thread gave. */
export function resultOfThread({
  json,
  staged,
  error,
}: Extract<FromThread, { type: "done" }>): RawResult {
  if (staged !== undefined) return { ok: true, staged };
  if (json !== undefined) return { ok: true, json };
  const silent = { name: "Error", message: "the step failed and gave no reason" };
  return { ok: false, outcome: "failed", error: error ?? silent };
}

/** The result of a piece that was told to end, or that was ended for its own fault. */
export function endResult(piece: Piece): RawResult {
  if (piece.fault !== undefined) return { ok: false, outcome: "failed", error: piece.fault };
  const { outcome, because } = piece.ending ?? {
    outcome: "stopped" as const,
    because: "the step was ended",
  };
  return outcome === "timeout"
    ? {
        ok: false,
        outcome,
        error: {
          name: "TimeoutError",
          message: `${because}: raise it (timeout), or find what holds it up`,
          code: FAILURE_CODES.timeout,
        },
      }
    : { ok: false, outcome, error: { name: "Stopped", message: because } };
}

/**
 * The error of a piece whose thread ended without being told to.
 *
 * @param error what was thrown and not caught
 * @param runnerMb how much memory the whole runner may hold
 */
export function threadDeath(
  { head }: Piece,
  error: Error | undefined,
  exitCode: number,
  runnerMb: number | undefined,
): StepError {
  if (error === undefined) {
    const exit = `process.exit(${exitCode})`;
    return {
      name: "WorkerExit",
      message: `${describeTask(head)} ended its own thread (${exit}): return or throw instead`,
      code: FAILURE_CODES.workerExit,
    };
  }
  if ((error as NodeJS.ErrnoException).code !== "ERR_WORKER_OUT_OF_MEMORY")
    return clipError(toStepError(error));
  if (head.memoryMb !== undefined) return outOfMemory(head.step, undefined, head.memoryMb);
  if (runnerMb !== undefined)
    return outOfMemory(head.step, undefined, runnerMb, "runner.memoryMb in orchd.yaml");
  return {
    name: "OutOfMemory",
    message: `${describeTask(head)} wants more memory than Node gives a thread`,
    code: FAILURE_CODES.memory,
  };
}

/** For people: `step "read"`. */
export function describeTask({ kind, step }: TaskHead): string {
  return kind === "module" || kind === "shell"
    ? `step "${step}"`
    : kind === "hook"
      ? `the hook ${step.replace(/^\(|\)$/g, "")}`
      : `the ${kind} function`;
}
