/** A schedule in code: what a pipeline file writes under `schedule`, checked where it is made. */
import { formatPath } from "../core/fault.ts";
import { scheduleSchema, type ScheduleDefinition } from "../core/schedule/schedule-schema.ts";
import { checkShape } from "../core/shape-faults.ts";

/** The keys of a schedule, as in a pipeline file (docs/pipeline-files.md). */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see below
export interface Schedule extends ScheduleDefinition {}

/**
 * When a pipeline runs (ZenML `Schedule`): a cron pattern, an interval from a start, or one moment.
 * A plain object with the same keys does as well; this one is checked at once.
 *
 * ```ts
 * import { pipeline, Schedule } from "orchd";
 *
 * const nightly = new Schedule({ cron: "0 2 * * *", timezone: "Europe/Berlin" });
 *
 * export default pipeline({ schedule: nightly, steps: { tidy: { run: "rm -rf /tmp/old" } } });
 * ```
 *
 * @throws TypeError, a sentence, where a key is unknown or has a value of the wrong shape. What
 *   only a calendar knows (a pattern that never fires, an unknown zone) is found when the file is
 *   loaded.
 */
/* oxlint-disable typescript/no-unsafe-declaration-merging -- the keys are copied */
/* oxlint-disable typescript/no-extraneous-class -- a class, as ZenML's is */
export class Schedule {
  constructor(definition: ScheduleDefinition) {
    const checked = checkShape(scheduleSchema, definition);
    if (!checked.ok) {
      const faults = checked.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
      throw new TypeError(`the schedule cannot be used: ${faults.join("; ")}`);
    }
    Object.assign(this, checked.value);
  }
}
