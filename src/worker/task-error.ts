/** Why a task that a worker holds failed, where neither its code nor its runner is to blame. */
import { isExhausted, whatRanOut } from "../disk/disk-error.ts";
import { FAILURE_CODES, toStepError, type StepError } from "../core/failure.ts";
import type { MessageTooLong } from "../places/broker/broker.ts";
import type { TaskEnd } from "../places/broker/messages.ts";
import { FileMissing } from "./file-cache.ts";

/** The error of a task that could not be prepared, started or put. */
export function taskError(error: unknown): StepError {
  if (error instanceof FileMissing) return placeError(error.message);
  if (isExhausted(error))
    return placeError(`The worker has no room for what the step needs: ${whatRanOut(error)}.`);
  return toStepError(error);
}

/** The end of a task whose own end is longer than the broker takes. */
export function untellable(end: TaskEnd, because: MessageTooLong): TaskEnd {
  const message =
    `The step's end did not fit the broker: ${because.message}. ` +
    "Raise what the broker allows (max_payload of NATS).";
  const outcome = end.kind === "died" || end.result.ok ? "failed" : end.result.outcome;
  const durationMs = end.kind === "result" ? end.durationMs : 0;
  return { kind: "result", result: { ok: false, outcome, error: placeError(message) }, durationMs };
}

function placeError(message: string): StepError {
  return { name: "PlaceError", message, code: FAILURE_CODES.place };
}
