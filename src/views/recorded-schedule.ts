/** Schedules as a pipeline's ledger records them. */
import type { PipelineState } from "../core/pipeline-state.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { scheduleKey } from "../core/schedule/schedule.ts";

/**
 * What a ledger may leave out of a schedule. The file of the defaults loads the schemas too, which
 * cost more than all of `orchd status`.
 */
const LEFT_OUT = { timezone: "UTC", jitterSeconds: 0, blackout: [] } as const;

/** A schedule as a ledger has it, with what a ledger may leave out. */
export function wholeSchedule(schedule: Schedule): Schedule {
  return { ...LEFT_OUT, ...schedule };
}

/** The schedules that still fire: one with `stopAfter` ends with its last run. */
export function schedulesInForce(state: Pick<PipelineState, "schedules" | "ran">): Schedule[] {
  return (state.schedules as unknown as readonly Schedule[])
    .map(wholeSchedule)
    .filter(
      (schedule) =>
        schedule.stopAfter === undefined ||
        (state.ran[scheduleKey(schedule)] ?? 0) < schedule.stopAfter,
    );
}

/** The time zones of the schedules, each once. */
export function zonesOf({ schedules }: Pick<PipelineState, "schedules">): string[] {
  const zones = (schedules as unknown as readonly Schedule[]).map(
    (schedule) => wholeSchedule(schedule).timezone,
  );
  return [...new Set(zones)];
}

/** Schedules in a few words: the pattern, and the zone where it is not UTC; null without any. */
export function scheduleText(schedules: readonly Schedule[]): string | null {
  return schedules.length === 0 ? null : schedules.map(textOf).join(", ");
}

function textOf({ cron, timezone, intervalSeconds, runOnceAt }: Schedule): string {
  // A schedule that another release wrote may hold anything.
  if (typeof cron === "string")
    return timezone === "UTC" || timezone === undefined ? cron : `${cron} ${timezone}`;
  if (typeof intervalSeconds === "number") return `every ${intervalSeconds}s`;
  return typeof runOnceAt === "string" ? `once at ${runOnceAt}` : "?";
}
