/**
 * The ids of a run's spans, made of the run's {@link TraceSeed} and a number. It hashes nothing: an
 * attempt's id is made where the attempt runs, for each step.
 *
 * An attempt's number is the number of its line in the run's ledger (`RUN#SEQ` is its fencing
 * token), so each attempt of a run has an id of its own. A step's number is that of its first line.
 */

/**
 * What all ids of a run are made of: 64 hex digits (trace-id.ts). The first 32 are the trace's id,
 * the next 16 the base of attempts, the last 16 the base of steps. The number of a span changes the
 * low 32 bits of its base. The highest two bits of a base say which one it is, and no base is zero.
 */
export type TraceSeed = string;

/** The variable by which a process tells its children where their spans belong (W3C). */
export const TRACEPARENT = "TRACEPARENT";

const HEX = 16;
const ATTEMPTS = 32;
const STEPS = 48;

/** The id of a run's trace: 32 hex digits. */
export function traceIdOf(seed: TraceSeed): string {
  return seed.slice(0, ATTEMPTS);
}

/** The id of the span of a run: 16 hex digits. */
export function runSpanOf(seed: TraceSeed): string {
  return attemptSpanOf(seed, 0);
}

/** The id of an attempt's span. @param seq the number of its `step.started` line */
export function attemptSpanOf(seed: TraceSeed, seq: number): string {
  return spanOf(seed, ATTEMPTS, seq);
}

/** The id of a step's span. @param seq the number of the step's first line */
export function stepSpanOf(seed: TraceSeed, seq: number): string {
  return spanOf(seed, STEPS, seq);
}

/** `TRACEPARENT` of what runs for a run, but in no attempt of a step: its spans hang below it. */
export function runTraceparent(seed: TraceSeed): string {
  return traceparent(seed, runSpanOf(seed));
}

/** `TRACEPARENT` of an attempt. @param seq the number of its `step.started` line */
export function attemptTraceparent(seed: TraceSeed, seq: number): string {
  return traceparent(seed, attemptSpanOf(seed, seq));
}

/**
 * Adds `TRACEPARENT` to a task's environment, but where somebody set one: to that of an attempt its
 * own, and to all others, whose ids have no number, the run's.
 *
 * @param id the task's: `RUN#SEQ` of an attempt
 */
export function addTraceparent(env: { [name: string]: string }, seed: TraceSeed, id: string): void {
  if (env[TRACEPARENT] !== undefined) return;
  const seq = Number(id.slice(id.indexOf("#") + 1));
  env[TRACEPARENT] = Number.isNaN(seq) ? runTraceparent(seed) : attemptTraceparent(seed, seq);
}

function traceparent(seed: TraceSeed, span: string): string {
  return `00-${traceIdOf(seed)}-${span}-01`;
}

function spanOf(seed: TraceSeed, base: number, number: number): string {
  const middle = base + HEX / 2;
  const low = Number.parseInt(seed.slice(middle, base + HEX), HEX) ^ number;
  return seed.slice(base, middle) + (low >>> 0).toString(HEX).padStart(HEX / 2, "0");
}
