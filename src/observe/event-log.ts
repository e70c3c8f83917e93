/**
 * From a ledger's lines to the daemon's log: what a person who watches the log wants to see, each
 * with the fields to search by. The ledgers are the record; this repeats it and adds nothing.
 */
import { formatDuration } from "../core/duration.ts";
import type { PipelineEvent, RunLine } from "../core/event.ts";

/** Where the lines go; pino is one. */
export interface EventLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Logs a line of a pipeline's ledger. */
export function logPipelineEvent(log: EventLog, pipeline: string, event: PipelineEvent): void {
  switch (event.type) {
    case "slot.fired":
    case "slot.caught_up":
      log.info(
        { pipeline, slot: event.slot, run: event.run, latenessMs: event.latenessMs },
        event.type === "slot.fired"
          ? `slot fired: ${event.run}`
          : `slot caught up: ${event.run} (${event.because ?? ""})`,
      );
      break;
    case "slot.skipped":
      log.info(
        { pipeline, slot: event.slot, because: event.because },
        `slot ${event.slot} skipped: ${event.because}`,
      );
      break;
    case "slot.missed":
      log.warn(
        { pipeline, slot: event.slot, until: event.until, because: event.because },
        `slot ${event.slot}${event.until === undefined ? "" : ` to ${event.until}`} missed: ${event.because}`,
      );
      break;
    case "slot.late":
    case "run.overdue":
      log.warn({ pipeline, because: event.because }, event.because);
      break;
    case "run.queued":
      log.info(
        { pipeline, run: event.run, because: event.because },
        `run ${event.run} waits: ${event.because}`,
      );
      break;
    case "run.started":
      log.debug({ pipeline, run: event.run, trigger: event.trigger }, `run ${event.run} started`);
      break;
    case "run.finished": {
      const { run, status, durationMs, because } = event;
      const level = status === "failed" || status === "stopped" ? "warn" : "info";
      log[level](
        { pipeline, run, status, durationMs, because },
        `run ${run} ${status} after ${formatDuration(durationMs)}${level === "warn" ? `: ${because ?? ""}` : ""}`,
      );
      break;
    }
    case "pipeline.paused":
    case "pipeline.resumed":
      log.info(
        { pipeline, by: event.by },
        `pipeline ${pipeline} ${event.type === "pipeline.paused" ? "paused" : "resumed"}`,
      );
      break;
    case "clock.stepped":
      log.warn(
        { pipeline, from: event.from, to: event.to },
        `the clock jumped from ${event.from} to ${event.to}`,
      );
      break;
    case "backfill.started":
    case "backfill.finished":
    case "slot.backfilled":
      log.info(
        { pipeline, requestId: event.requestId },
        event.type === "slot.backfilled"
          ? `slot ${event.slot} backfilled: ${event.run}`
          : `backfill ${event.requestId} ${event.type === "backfill.started" ? "started" : event.because}`,
      );
      break;
    case "pipeline.loaded":
    case "pipeline.invalid":
    case "pipeline.removed":
    case "pipeline.checkpoint":
    case "request.noted":
      // Files and requests are logged where they are dealt with, with more than the ledger keeps.
      break;
  }
}

/**
 * Logs a line of a run's ledger: what went wrong, and what was taken over. The rest is in the
 * ledger.
 */
export function logRunEvent(log: EventLog, run: string, line: RunLine): void {
  switch (line.type) {
    case "step.failed":
      log.warn(
        {
          run,
          step: line.step,
          attempt: line.attempt,
          error: line.error.message,
          retryAt: line.retryAt,
        },
        `step ${line.step} of ${run} failed: ${line.error.message}`,
      );
      break;
    case "step.interrupted":
      log.warn(
        { run, step: line.step, attempt: line.attempt, next: line.next },
        `step ${line.step} of ${run} was interrupted: ${line.because}`,
      );
      break;
    case "hook.failed":
      log.warn(
        { run, hook: line.hook, step: line.step, error: line.error.message },
        `the ${line.hook} hook of ${run} failed: ${line.error.message}`,
      );
      break;
    case "run.recovered":
    case "run.stop_requested":
      log.info(
        { run, because: line.because },
        line.type === "run.recovered"
          ? `run ${run} was taken over: ${line.because}`
          : `run ${run} was asked to stop by ${line.by} (${line.mode})`,
      );
      break;
    default:
      log.debug({ run, type: line.type, seq: line.seq }, `${run} ${line.type}`);
  }
}
