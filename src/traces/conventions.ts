/**
 * How a run is told in OpenTelemetry's words. Where its semantic conventions have a name, that is
 * used (those of CI/CD fit: a pipeline, its runs, and their tasks); all others begin with `orchd.`.
 */
import { FAILURE_CODES } from "../core/failure.ts";
import type { FinalRunStatus } from "../core/status.ts";
import type { Attributes } from "./span.ts";
import { beginning } from "../core/whole-characters.ts";

/** The names of attributes and events. */
export const NAMES = {
  pipeline: "cicd.pipeline.name",
  run: "cicd.pipeline.run.id",
  action: "cicd.pipeline.action.name",
  runResult: "cicd.pipeline.result",
  task: "cicd.pipeline.task.name",
  taskRun: "cicd.pipeline.task.run.id",
  taskResult: "cicd.pipeline.task.run.result",
  errorType: "error.type",
  exception: "exception",
  exceptionType: "exception.type",
  exceptionMessage: "exception.message",
  exceptionStack: "exception.stacktrace",
  because: "orchd.because",
  trigger: "orchd.trigger",
  slot: "orchd.slot",
  lateness: "orchd.slot.lateness_ms",
  schedule: "orchd.schedule",
  tags: "orchd.tags",
  params: "orchd.params.count",
  reused: "orchd.reused.count",
  of: "orchd.rerun.of",
  attempt: "orchd.attempt",
  attempts: "orchd.attempts",
  cached: "orchd.cached",
  cacheRun: "orchd.cache.source.run",
  cacheStep: "orchd.cache.source.step",
  elsewhere: "orchd.elsewhere",
  retryAt: "orchd.retry.at",
  stopMode: "orchd.stop.mode",
  hook: "orchd.hook",
} as const;

/** The one action of CI/CD pipelines that fits. */
export const ACTION = "RUN";

/** A result in the conventions' words, of a run or a step. */
export type Result = "success" | "failure" | "error" | "timeout" | "cancellation" | "skip";

/** An error as a ledger has it, of any release. */
export interface RecordedError {
  readonly name?: string | undefined;
  readonly message?: string | undefined;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
}

/** The result of a run. */
export function runResult(status: FinalRunStatus, isOutOfTime: boolean): Result {
  switch (status) {
    case "completed":
    case "cached":
      return "success";
    case "failed":
      return isOutOfTime ? "timeout" : "failure";
    case "stopped":
      return "cancellation";
  }
}

/** The result of an attempt, or of a step, that failed. */
export function failureResult({ code }: RecordedError): Result {
  if (code === FAILURE_CODES.timeout) return "timeout";
  const isOurs = code === FAILURE_CODES.runnerDied || code === FAILURE_CODES.memory;
  return isOurs ? "error" : "failure";
}

/** The attributes of a result. @param error why; undefined where nothing failed */
export function resultAttributes(
  name: string,
  result: Result,
  error: RecordedError | undefined,
): Attributes {
  return error === undefined
    ? { [name]: result }
    : { [name]: result, [NAMES.errorType]: errorType(error) };
}

/** `error.type`: the code, or the error's name. */
export function errorType({ code, name }: RecordedError): string {
  return beginning(code ?? name ?? "_OTHER", 256);
}
