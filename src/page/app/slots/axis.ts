/** The time axis of Slots: where a moment lies, and where the axis has its words. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../../core/time.ts";
import { dayText, minuteText, zoneOffset } from "../zone.ts";

/** From one moment to another, over some pixels. */
export interface Axis {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** In pixels. */
  readonly width: number;
}

/** Where a moment lies, in pixels. */
export function xOf({ from, to, width }: Axis, at: number | string): number {
  return ((new Date(at).getTime() - from) / (to - from)) * width;
}

const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14].map((days) => days * DAY_MS),
];
const LABEL_PX = 84;
/** The first Monday of 1970: weeks begin there. */
const MONDAY = 4 * DAY_MS;

/** One word of the axis. */
export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** Whole minutes, hours or days of the chosen zone, as many as there is room for. */
export function ticksOf({ from, to, width }: Axis): readonly Tick[] {
  const most = Math.max(2, Math.floor(width / LABEL_PX));
  const step = STEPS.find((one) => (to - from) / one <= most) ?? STEPS.at(-1)!;
  const origin = step >= 7 * DAY_MS ? MONDAY : 0;
  const ticks: Tick[] = [];
  const first = Math.ceil((from + zoneOffset(from) - origin) / step) * step + origin;
  for (let local = first; ; local += step) {
    // The offset at the moment itself: it may change between two of them.
    const at = local - zoneOffset(local - zoneOffset(local));
    if (at > to) return ticks;
    if (at >= from) ticks.push({ at, text: textOf(at, local, step) });
  }
}

function textOf(at: number, local: number, step: number): string {
  return step >= DAY_MS || local % DAY_MS === 0 ? dayText(at) : minuteText(at);
}
