/**
 * The spans of one run, made of its ledger's lines. Pure.
 *
 * The run is a trace. Its root span lasts from `run.submitted` to `run.finished`. Each step has a
 * span below it, from its first line to its last, and each attempt one below the step's. A step
 * that did not run (cached, skipped) has a span without length. Waits, retries and hooks are
 * events.
 *
 * A span is given when it ends. So a run holds what has not ended: itself, the steps that run, and
 * those that wait for a retry.
 */
import { traceSeed } from "../core/trace-id.ts";
import {
  attemptSpanOf,
  runSpanOf,
  stepSpanOf,
  traceIdOf,
  type TraceSeed,
} from "../core/trace-span.ts";
import {
  ACTION,
  errorType,
  failureResult,
  NAMES,
  resultAttributes,
  runResult,
  type RecordedError,
  type Result,
} from "./conventions.ts";
import type { FinalRunStatus } from "../core/status.ts";
import { shortText, SpanEvents, type AttributeValue, type Attributes, type Span } from "./span.ts";

/** A ledger's line. A newer release may write others, so each member is looked at. */
export type LedgerLine = Readonly<Record<string, unknown>>;

interface OpenAttempt {
  readonly number: number;
  readonly seq: number;
  readonly startMs: number;
  readonly attributes: Attributes;
}

interface OpenStep {
  readonly name: string;
  /** The number of its first line. */
  readonly seq: number;
  readonly startMs: number;
  readonly events: SpanEvents;
  attempts: number;
  attempt: OpenAttempt | undefined;
}

/** How a step or an attempt ended. */
interface End {
  readonly result: Result;
  readonly at: string;
  readonly because?: string | undefined;
  readonly error?: RecordedError | undefined;
}

/** The trace of one run that has not ended. */
export class RunTrace {
  readonly #seed: TraceSeed;
  readonly #run: string;
  readonly #pipeline: string;
  readonly #startMs: number;
  readonly #attributes: Attributes;
  readonly #events = new SpanEvents();
  readonly #steps = new Map<string, OpenStep>();
  #isOutOfTime = false;
  #firstError: RecordedError | undefined;
  #isOver = false;

  private constructor(header: LedgerLine, run: string, pipeline: string) {
    const at = text(header["at"]) ?? "";
    this.#seed = traceSeed(run, at);
    this.#run = run;
    this.#pipeline = pipeline;
    this.#startMs = Date.parse(at);
    this.#attributes = headerAttributes(header, this.#startMs);
  }

  /** The trace that begins with a line. Undefined where that is no header. */
  static of(line: LedgerLine): RunTrace | undefined {
    const [run, pipeline, at] = [line["run"], line["pipeline"], text(line["at"])];
    if (line["type"] !== "run.submitted" || typeof run !== "string" || at === undefined)
      return undefined;
    if (typeof pipeline !== "string" || Number.isNaN(Date.parse(at))) return undefined;
    return new RunTrace(line, run, pipeline);
  }

  /** Whether the run has ended: nothing follows. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** How many spans have not ended. */
  get open(): number {
    return 1 + this.#steps.size;
  }

  /** Takes the next line. @returns the spans that ended with it */
  take(line: LedgerLine): Span[] {
    const { type, at } = line;
    if (typeof type !== "string" || typeof at !== "string" || this.#isOver) return [];
    if (type.startsWith("step.")) return this.#takeStep(type, line, at);
    const because = becauseOf(line);
    switch (type) {
      case "run.finished":
        return this.#finish(line, at);
      case "run.timed_out":
        this.#isOutOfTime = true;
        break;
      case "run.stop_requested":
        this.#event(type, at, { ...because, ...textAttribute(NAMES.stopMode, line["mode"]) });
        return [];
      case "hook.completed":
      case "hook.failed":
        this.#event(type, at, hookAttributes(line));
        return [];
    }
    if (type.startsWith("run.") || type.startsWith("submit.")) this.#event(type, at, because);
    return [];
  }

  /** The run has ended, and its own ledger did not say so. */
  end(line: LedgerLine): Span[] {
    return this.#isOver ? [] : this.#finish(line, text(line["at"]) ?? "");
  }

  #event(type: string, at: string, attributes: Attributes): void {
    this.#events.add(`orchd.${type}`, at, attributes);
  }

  // oxlint-disable-next-line max-lines-per-function -- the fold: a case an event of a step
  #takeStep(type: string, line: LedgerLine, at: string): Span[] {
    const { step: name, seq } = line;
    if (typeof name !== "string" || typeof seq !== "number") return [];
    const because = text(line["because"]);
    switch (type) {
      case "step.started":
        return this.#start(name, seq, line, at);
      case "step.completed":
        return this.#endStep(name, seq, { result: "success", at });
      case "step.cached": {
        const source = record(line["source"]);
        return this.#endStep(
          name,
          seq,
          { result: "success", at, because },
          {
            [NAMES.cached]: true,
            ...textAttribute(NAMES.cacheRun, source["run"]),
            ...textAttribute(NAMES.cacheStep, source["step"]),
          },
        );
      }
      case "step.skipped":
        return this.#endStep(name, seq, { result: "skip", at, because });
      case "step.stopped":
        return this.#endStep(name, seq, { result: "cancellation", at, because });
      case "step.failed": {
        const error = record(line["error"]) as RecordedError;
        const end = { result: failureResult(error), at, because, error };
        return line["retryAt"] === undefined
          ? this.#endStep(name, seq, end)
          : this.#retry(name, line, end);
      }
      case "step.interrupted": {
        const error = { name: "Interrupted", message: because };
        const end = { result: "error" as const, at, because, error };
        return line["next"] === "fail"
          ? this.#endStep(name, seq, end)
          : this.#retry(name, line, end);
      }
      default:
        return [];
    }
  }

  #start(name: string, seq: number, line: LedgerLine, at: string): Span[] {
    const startMs = Date.parse(at);
    let step = this.#steps.get(name);
    if (step === undefined) this.#steps.set(name, (step = openStep(name, seq, startMs)));
    const before = this.#endAttempt(step, { result: "error", at });
    const attributes = {
      ...becauseOf(line),
      ...(line["elsewhere"] === true ? { [NAMES.elsewhere]: true } : {}),
    };
    step.attempts += 1;
    const number = Number(line["attempt"]) || step.attempts;
    step.attempt = { number, seq, startMs, attributes };
    return before;
  }

  /** An attempt ended, and another follows. */
  #retry(name: string, line: LedgerLine, end: End): Span[] {
    const step = this.#steps.get(name);
    if (step === undefined) return [];
    step.events.add("orchd.retry", end.at, {
      [NAMES.attempt]: step.attempt?.number ?? step.attempts,
      ...(end.error === undefined ? {} : { [NAMES.errorType]: errorType(end.error) }),
      ...textAttribute(NAMES.retryAt, line["retryAt"]),
      ...becauseOf(line),
    });
    return this.#endAttempt(step, end);
  }

  #endStep(name: string, seq: number, end: End, attributes: Attributes = {}): Span[] {
    const step = this.#steps.get(name) ?? openStep(name, seq, Date.parse(end.at));
    this.#steps.delete(name);
    const spans = this.#endAttempt(step, end);
    if (end.result !== "success" && end.result !== "skip") this.#firstError ??= end.error;
    spans.push({
      ...this.#ids(stepSpanOf(this.#seed, step.seq), runSpanOf(this.#seed)),
      ...times(step.startMs, end.at),
      ...step.events.all,
      name: step.name,
      attributes: {
        ...this.#common(step.name, `${this.#run}/${step.name}`),
        ...resultAttributes(NAMES.taskResult, end.result, end.error),
        ...textAttribute(NAMES.because, end.because),
        [NAMES.attempts]: step.attempts,
        ...attributes,
      },
      error: errorText(end),
    });
    return spans;
  }

  #endAttempt(step: OpenStep, end: End): Span[] {
    const { attempt } = step;
    if (attempt === undefined) return [];
    step.attempt = undefined;
    const events = new SpanEvents();
    const { error } = end;
    if (error !== undefined) events.add(NAMES.exception, end.at, exceptionAttributes(error));
    return [
      {
        ...this.#ids(attemptSpanOf(this.#seed, attempt.seq), stepSpanOf(this.#seed, step.seq)),
        ...times(attempt.startMs, end.at),
        ...events.all,
        name: `${step.name} attempt`,
        attributes: {
          ...this.#common(step.name, `${this.#run}#${attempt.seq}`),
          ...attempt.attributes,
          ...resultAttributes(NAMES.taskResult, end.result, error),
          [NAMES.attempt]: attempt.number,
        },
        error: errorText(end),
      },
    ];
  }

  #finish(line: LedgerLine, at: string): Span[] {
    const end = { result: "error" as const, at, because: "the run ended before the step" };
    const seq = Number(line["seq"]) || 0;
    const spans = [...this.#steps.keys()].flatMap((name) => this.#endStep(name, seq, end));
    this.#isOver = true;
    const status = line["status"] as FinalRunStatus;
    const result = runResult(status, this.#isOutOfTime) ?? "error";
    const isBad = result !== "success" && result !== "cancellation";
    const error = isBad ? (this.#firstError ?? {}) : undefined;
    const because = text(line["because"]);
    spans.push({
      ...this.#ids(runSpanOf(this.#seed), undefined),
      ...times(this.#startMs, at),
      ...this.#events.all,
      name: `${ACTION} ${this.#pipeline}`,
      kind: "server",
      attributes: {
        [NAMES.pipeline]: this.#pipeline,
        [NAMES.run]: this.#run,
        [NAMES.action]: ACTION,
        ...this.#attributes,
        ...resultAttributes(NAMES.runResult, result, error),
        ...textAttribute(NAMES.because, because),
      },
      error: isBad ? shortText(because ?? result) : undefined,
    });
    return spans;
  }

  #ids(
    spanId: string,
    parentSpanId: string | undefined,
  ): Pick<Span, "traceId" | "spanId" | "parentSpanId" | "kind"> {
    return { traceId: traceIdOf(this.#seed), spanId, parentSpanId, kind: "internal" };
  }

  #common(step: string, id: string): Attributes {
    return {
      [NAMES.pipeline]: this.#pipeline,
      [NAMES.run]: this.#run,
      [NAMES.task]: step,
      [NAMES.taskRun]: id,
    };
  }
}

function openStep(name: string, seq: number, startMs: number): OpenStep {
  return { name, seq, startMs, events: new SpanEvents(), attempts: 0, attempt: undefined };
}

/** What the header tells of the run. Of params only how many there are. */
function headerAttributes(header: LedgerLine, startMs: number): Attributes {
  const trigger = record(header["trigger"]);
  const slot = text(trigger["scheduledFor"]);
  const tags = Array.isArray(header["tags"]) ? header["tags"].filter(isText) : [];
  const attributes: Record<string, AttributeValue> = {
    ...textAttribute(NAMES.trigger, trigger["kind"]),
    ...textAttribute(NAMES.slot, slot),
    ...textAttribute(NAMES.schedule, trigger["schedule"]),
    ...textAttribute(NAMES.of, trigger["of"]),
    [NAMES.params]: Object.keys(record(header["params"])).length,
  };
  if (slot !== undefined && trigger["kind"] !== "rerun" && trigger["kind"] !== "backfill")
    attributes[NAMES.lateness] = Math.max(0, startMs - Date.parse(slot)) || 0;
  if (tags.length > 0) attributes[NAMES.tags] = tags;
  const reused = Object.keys(record(header["reuse"])).length;
  if (reused > 0) attributes[NAMES.reused] = reused;
  return attributes;
}

function hookAttributes(line: LedgerLine): Attributes {
  const error = line["error"] === undefined ? undefined : (record(line["error"]) as RecordedError);
  return {
    ...textAttribute(NAMES.hook, line["hook"]),
    ...textAttribute(NAMES.task, line["step"]),
    ...(error === undefined ? {} : exceptionAttributes(error)),
  };
}

function exceptionAttributes({ name, message, stack }: RecordedError): Attributes {
  return {
    ...textAttribute(NAMES.exceptionType, name),
    ...textAttribute(NAMES.exceptionMessage, message),
    ...textAttribute(NAMES.exceptionStack, stack),
  };
}

function errorText({ result, because, error }: End): string | undefined {
  if (result === "success" || result === "skip" || result === "cancellation") return undefined;
  return shortText(error?.message ?? because ?? result);
}

function times(startMs: number, at: string): Pick<Span, "startMs" | "endMs"> {
  const endMs = Date.parse(at);
  // A clock that was set back: a span must not end before it starts.
  return { startMs, endMs: endMs >= startMs ? endMs : startMs };
}

function becauseOf(line: LedgerLine): Attributes {
  return textAttribute(NAMES.because, line["because"]);
}

function textAttribute(name: string, value: unknown): Attributes {
  return typeof value === "string" ? { [name]: shortText(value) } : {};
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
