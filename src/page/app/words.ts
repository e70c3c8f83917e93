/** Lengths of time and counts, in the words of the command line. */
import { formatDuration } from "../../core/duration.ts";

export { formatDuration as durationText };

/** `1 run`, `2 runs`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** `in 26s`, `5m 30s ago`, `now`. @param at milliseconds or ISO 8601 */
export function relativeText(at: number | string, now: number): string {
  const away = new Date(at).getTime() - now;
  if (Math.abs(away) < 1_000) return "now";
  // Whole seconds: a page that counts tenths is never still.
  const length = formatDuration(Math.round(Math.abs(away) / 1_000) * 1_000);
  return away > 0 ? `in ${length}` : `${length} ago`;
}

/** `in 26s` of what is to come; `now` once its moment is there. */
export function comingText(at: number | string, now: number): string {
  return relativeText(Math.max(new Date(at).getTime(), now), now);
}

/** `a, b and 3 more`. */
export function someText(names: readonly string[], most = 3): string {
  const rest = names.length - most;
  if (rest > 0) return `${names.slice(0, most).join(", ")} and ${rest} more`;
  return names.length < 2
    ? (names[0] ?? "")
    : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
