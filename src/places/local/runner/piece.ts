/**
 * One piece of work as the runner's main thread sees it, and how it ends where it does not end by
 * itself: told to, ended for its own fault, or with its thread.
 */
import { FAILURE_CODES, toStepError, type StepError } from "../../../core/failure.ts";
import { outOfMemory } from "../../../steps/memory-watch.ts";
import type { RawResult, TaskHead } from "../protocol.ts";
import type { OutsideLook } from "./outside-look.ts";
import type { ShellStep } from "./shell-step.ts";
import type { Placed } from "./warm-threads.ts";

/** See the head of this file. */
export interface Piece extends Placed {
  shell?: ShellStep;
  /** Why it was told to end. */
  ending?: { outcome: "stopped" | "timeout"; because: string; forced: boolean; heard: boolean };
  readonly timers: NodeJS.Timeout[];
  killing?: boolean;
  /** Why it was ended, where that was its own fault. */
  fault?: StepError;
  /** Why it was ended though it may not have been its fault: it is to start again, alone. */
  aside?: string;
  look?: OutsideLook;
}

/** How a piece ends that was told to, or was ended for its own fault. */
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
 * Why a thread ended that nobody had told to.
 *
 * @param error what was thrown where nothing caught it
 * @param runnerMb what the whole runner may hold
 */
export function threadDeath(
  { head }: Piece,
  error: Error | undefined,
  exitCode: number,
  runnerMb: number | undefined,
): StepError {
  if (error === undefined) {
    const message = `${describeTask(head)} ended its own thread (process.exit(${exitCode})): return or throw instead`;
    return { name: "WorkerExit", message, code: FAILURE_CODES.workerExit };
  }
  if ((error as NodeJS.ErrnoException).code !== "ERR_WORKER_OUT_OF_MEMORY")
    return toStepError(error);
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
