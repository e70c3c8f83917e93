/**
 * A moment as people read it. It is UTC, as run ids are, so that two machines' outputs can be
 * compared.
 */
import { iso } from "../core/time.ts";

/** `2026-11-23 02:00:00Z`; milliseconds are left out. */
export function timeText(time: number | string | null | undefined): string {
  if (time === null || time === undefined) return "-";
  const milliseconds = typeof time === "number" ? time : Date.parse(time);
  if (Number.isNaN(milliseconds)) return String(time);
  return `${iso(milliseconds).slice(0, 19).replace("T", " ")}Z`;
}
