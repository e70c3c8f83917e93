/**
 * The stretch of time that Slots shows: the last minutes, hours or days and some of what comes. It
 * moves on with the time, in small steps, and stands while somebody is at the marks: nothing slips
 * away under the pointer. `until` in the address stops it at a moment of the past.
 */
import { useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../../core/time.ts";
import { now } from "../clock.ts";
import type { Hold } from "../steady.ts";

/** A length to choose. */
export interface Span {
  /** Its key in the address, and its text. */
  readonly key: string;
  readonly text: string;
  readonly ms: number;
  /** How much of the future is shown. */
  readonly aheadMs: number;
}

export const SPANS: readonly Span[] = [
  { key: "20m", text: "20 min", ms: 20 * MINUTE_MS, aheadMs: 4 * MINUTE_MS },
  { key: "24h", text: "24 h", ms: DAY_MS, aheadMs: 4 * HOUR_MS },
  { key: "7d", text: "7 d", ms: 7 * DAY_MS, aheadMs: DAY_MS },
  { key: "35d", text: "35 d", ms: 35 * DAY_MS, aheadMs: 5 * DAY_MS },
];

/** The span with that key; the first for another. */
export function spanOf(key: string | null): Span {
  return SPANS.find((one) => one.key === key) ?? SPANS[0]!;
}

const LEAST_STEP_MS = 5_000;
/** A step is some four pixels. */
const STEPS = 240;

/** What is shown, in milliseconds since 1970. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

export function useStretch(span: Span, until: number | undefined, { isHeld }: Hold): Stretch {
  const step = Math.max(LEAST_STEP_MS, span.ms / STEPS);
  const size = useRef(step);
  size.current = step;
  const steps = useComputed(() => Math.floor(now.value / size.current));
  const reason = `${span.key} ${until}`;
  const held = useRef({ reason, steps: Math.floor(now.value / step) });
  // Read always, so that it is followed.
  const latest = steps.value;
  if (!isHeld) held.current = { reason, steps: latest };
  if (held.current.reason !== reason)
    held.current = { reason, steps: Math.floor(now.peek() / step) };
  if (until !== undefined) return { from: until - span.ms, to: until };
  const end = held.current.steps * step;
  return { from: end - span.ms, to: end + span.aheadMs };
}
