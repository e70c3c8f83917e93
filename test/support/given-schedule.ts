import type { Schedule } from "../../src/core/schedule/schedule.ts";

/** A schedule with every default filled in. */
export function scheduleOf(parts: Partial<Schedule>): Schedule {
  return {
    timezone: "UTC",
    jitterSeconds: 0,
    catchUp: "latest",
    catchUpWindowMs: 86_400_000,
    maxCatchUp: 100,
    blackout: [],
    ...parts,
  };
}
