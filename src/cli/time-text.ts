/** Times as people type them, and lengths of time as they read them. */
import { formatDuration } from "../core/duration.ts";
import { noTimeText, readGivenTime } from "../core/given-time.ts";
import { usageError } from "./exit.ts";

/**
 * Reads a time, as core/given-time.ts has it.
 *
 * @param what the option's name, for the error
 * @returns milliseconds since 1970
 * @throws CliError where the text is no time
 */
export function parseTime(text: string, what: string, now: number): number {
  const time = readGivenTime(text, now);
  if (time === undefined) throw usageError(noTimeText(what, text));
  return time;
}

/** How long it is from one time to another; `-` where either is missing. */
export function betweenText(
  from: string | null | undefined,
  to: string | number | null | undefined,
): string {
  if (from === null || from === undefined || to === null || to === undefined) return "-";
  const end = typeof to === "number" ? to : Date.parse(to);
  return formatDuration(Math.max(0, end - Date.parse(from)));
}
