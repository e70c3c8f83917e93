/** Lengths of time and counts, in the words of the command line. */
import { countText, listText } from "../../core/counted.ts";
import { formatDuration } from "../../core/duration.ts";
import { comingText as comingAt, relativeText as relativeTo } from "../../core/relative-time.ts";

export { countText, formatDuration as durationText };

/** `in 26s`, `5m 30s ago`, `now`. @param at milliseconds or ISO 8601 */
export function relativeText(at: number | string, now: number): string {
  return relativeTo(new Date(at).getTime(), now);
}

/** `in 26s` of what is to come; `now` once its moment is there. */
export function comingText(at: number | string, now: number): string {
  return comingAt(new Date(at).getTime(), now);
}

/** `a, b and 3 more`. */
export function someText(names: readonly string[], most = 3): string {
  const rest = names.length - most;
  return rest > 0 ? `${names.slice(0, most).join(", ")} and ${rest} more` : listText(names);
}
