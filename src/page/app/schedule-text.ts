/** A pipeline's schedules in words, without the zone that is shown beside them. */
import type { PipelineRow } from "../../views/overview.ts";
import { safeText } from "./safe-text.ts";

export function scheduleText({
  schedule,
  timezones,
}: Pick<PipelineRow, "schedule" | "timezones">): string {
  if (schedule === null) return "–";
  const zone = timezones.length === 1 ? ` ${timezones[0]}` : "";
  const isLast = zone !== "" && schedule.endsWith(zone);
  return safeText(isLast ? schedule.slice(0, -zone.length) : schedule);
}
