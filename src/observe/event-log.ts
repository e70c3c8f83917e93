/**
 * Writes durable lines to the daemon's log, each with the fields to search by. The ledgers are the
 * record: the log repeats what a person who watches it wants to see, and adds nothing.
 */
import type { DurableLine } from "../core/durable-line.ts";
import { formatDuration } from "../core/duration.ts";
import type { PipelineLine, RunLine } from "../core/event.ts";
import { failureText } from "../core/failure.ts";
import type { Log } from "../log.ts";

type PipelineLineOf<T extends PipelineLine["type"]> = Extract<PipelineLine, { readonly type: T }>;

/** Logs a durable line, or leaves it out where something else logs it with more detail. */
export function logDurableLine(log: Log, durable: DurableLine): void {
  if (durable.ledger === "run") logRunLine(log, durable.run, durable.line);
  else logPipelineLine(log, durable.pipeline, durable.line);
}

function logPipelineLine(log: Log, pipeline: string, line: PipelineLine): void {
  switch (line.type) {
    case "slot.fired":
    case "slot.caught_up":
    case "slot.skipped":
    case "slot.missed":
    case "slot.backfilled":
      return logSlot(log, pipeline, line);
    case "slot.late":
    case "run.overdue":
      return log.warn({ pipeline, because: line.because }, line.because);
    case "run.queued":
    case "run.started":
    case "run.finished":
      return logRunOf(log, pipeline, line);
    case "pipeline.paused":
      return log.info({ pipeline, by: line.by }, `pipeline ${pipeline} paused`);
    case "pipeline.resumed":
      return log.info({ pipeline, by: line.by }, `pipeline ${pipeline} resumed`);
    case "pipeline.silenced": {
      const { by, until, because } = line;
      const what = until === null ? "is no longer silent" : `is silent until ${until}`;
      return log.info({ pipeline, by, because }, `pipeline ${pipeline} ${what}`);
    }
    case "ledger.disturbed": {
      const { run, because } = line;
      const what = run === undefined ? `pipeline ${pipeline}` : `run ${run}`;
      return log.error({ pipeline, run, because }, `ledgers of ${what} were touched: ${because}`);
    }
    case "clock.stepped": {
      const { from, to } = line;
      return log.warn({ pipeline, from, to }, `the clock jumped from ${from} to ${to}`);
    }
    case "backfill.started":
      return logBackfill(log, pipeline, line.requestId, "started");
    case "backfill.finished":
      return logBackfill(log, pipeline, line.requestId, line.because);
    case "pipeline.loaded":
    case "pipeline.invalid":
    case "pipeline.removed":
    case "pipeline.checkpoint":
    case "request.noted":
    case "runs.pruned":
      // The engine logs files and requests when it handles them: it knows more than the ledger
      // keeps.
      return;
  }
}

function logSlot(
  log: Log,
  pipeline: string,
  line: PipelineLineOf<
    "slot.fired" | "slot.caught_up" | "slot.skipped" | "slot.missed" | "slot.backfilled"
  >,
): void {
  const { slot, type } = line;
  switch (type) {
    case "slot.fired":
    case "slot.caught_up": {
      const { run, latenessMs, because = "" } = line;
      const message =
        type === "slot.fired" ? `slot fired: ${run}` : `slot caught up: ${run} (${because})`;
      return log.info({ pipeline, slot, run, latenessMs }, message);
    }
    case "slot.skipped": {
      const { because } = line;
      return log.info({ pipeline, slot, because }, `slot ${slot} skipped: ${because}`);
    }
    case "slot.missed": {
      const { until, because } = line;
      const stretch = until === undefined ? slot : `${slot} to ${until}`;
      return log.warn({ pipeline, slot, until, because }, `slot ${stretch} missed: ${because}`);
    }
    case "slot.backfilled": {
      const { requestId, run } = line;
      return log.info({ pipeline, requestId }, `slot ${slot} backfilled: ${run}`);
    }
  }
}

/** A line of a pipeline's ledger about one of its runs. */
function logRunOf(
  log: Log,
  pipeline: string,
  line: PipelineLineOf<"run.queued" | "run.started" | "run.finished">,
): void {
  const { run } = line;
  switch (line.type) {
    case "run.queued": {
      const { because } = line;
      return log.info({ pipeline, run, because }, `run ${run} waits: ${because}`);
    }
    case "run.started":
      return log.debug({ pipeline, run, trigger: line.trigger }, `run ${run} started`);
    case "run.finished": {
      const { status, durationMs, because } = line;
      const fields = { pipeline, run, status, durationMs, because };
      const message = `run ${run} ${status} after ${formatDuration(durationMs)}`;
      if (status === "failed" || status === "stopped")
        return log.warn(fields, `${message}: ${because ?? ""}`);
      return log.info(fields, message);
    }
  }
}

function logBackfill(log: Log, pipeline: string, requestId: string, what: string): void {
  log.info({ pipeline, requestId }, `backfill ${requestId} ${what}`);
}

/** Failures, interruptions and takeovers; the rest of a run is in its ledger, and for debugging. */
function logRunLine(log: Log, run: string, line: RunLine): void {
  switch (line.type) {
    case "step.failed": {
      const { step, attempt, retryAt } = line;
      const error = failureText(line.error);
      const fields = { run, step, attempt, error, retryAt };
      return log.warn(fields, `step ${step} of ${run} failed: ${error}`);
    }
    case "step.interrupted": {
      const { step, attempt, next, because } = line;
      const fields = { run, step, attempt, next };
      return log.warn(fields, `step ${step} of ${run} was interrupted: ${because}`);
    }
    case "hook.failed": {
      const { hook, step } = line;
      const error = failureText(line.error);
      const fields = { run, hook, step, error };
      return log.warn(fields, `the ${hook} hook of ${run} failed: ${error}`);
    }
    case "run.waits": {
      const { on, because } = line;
      return log.warn({ run, on, because }, `steps of ${run} wait for a place: ${because}`);
    }
    case "run.recovered": {
      const { because } = line;
      return log.info({ run, because }, `run ${run} was taken over: ${because}`);
    }
    case "run.stop_requested": {
      const { because, by, mode } = line;
      return log.info({ run, because }, `run ${run} was asked to stop by ${by} (${mode})`);
    }
    default:
      log.debug({ run, type: line.type, seq: line.seq }, `${run} ${line.type}`);
  }
}
