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
  const ticks = new Map<number, Tick>();
  // Where the clock goes back in between, the end is read with another offset than the beginning.
  const offsets = [zoneOffset(from), zoneOffset(to)];
  const first = Math.ceil((from + Math.min(...offsets) - origin) / step) * step + origin;
  const last = to + Math.max(...offsets);
  for (let local = first; local <= last; local += step)
    for (const at of momentsOf(local))
      // A day that begins at one o'clock is no hour too.
      if (at >= from && at <= to && !ticks.has(at))
        ticks.set(at, { at, text: textOf(at, local, step) });
  return [...ticks.values()].toSorted((one, other) => one.at - other.at);
}

/**
 * When the zone's clock shows a time. A time that it leaves out has no moment, and one that it
 * shows twice has two. A day has one: it begins as its first moment does.
 */
function momentsOf(local: number): readonly number[] {
  const [before, after] = [zoneOffset(local - DAY_MS), zoneOffset(local + DAY_MS)];
  const moments = [...new Set([local - before, local - after])];
  const shown = moments.filter((at) => at + zoneOffset(at) === local);
  return local % DAY_MS === 0 ? [shown[0] ?? local - before] : shown;
}

function textOf(at: number, local: number, step: number): string {
  return step >= DAY_MS || local % DAY_MS === 0 ? dayText(at) : minuteText(at);
}
