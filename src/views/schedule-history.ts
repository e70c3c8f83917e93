/** Which version of a pipeline's file was in force at a moment, by its ledger. */
import { defined } from "../core/defined.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { wholeSchedule } from "./recorded-schedule.ts";
import { isRepeatedLoad } from "./repeated-load.ts";
import { linesBackwards } from "./run-history.ts";
import type { PlainLine } from "./plain-line.ts";

/** What was in force. Times are milliseconds since 1970. */
export interface TextInForce {
  readonly schedules: readonly Schedule[];
  /** Its slots count from this moment on. */
  readonly since: number;
  /** When the next text came, or the file was removed; infinite while it is still in force. */
  readonly until: number;
  /** The file was gone then; it was removed at this moment. */
  readonly removedAt?: number;
}

/** Nothing was in force, as far back as the ledger goes. */
export interface BeforeLedger {
  /** When the pipeline was first loaded; undefined where it never was. */
  readonly firstLoad?: number;
  /** There was an older ledger, and it is gone. */
  readonly older: boolean;
}

/** What was in force at `time` (milliseconds since 1970). */
export function textAt(
  store: RunStore,
  pipeline: string,
  time: number,
): TextInForce | BeforeLedger {
  let until = Number.POSITIVE_INFINITY;
  let firstLoad: number | undefined;
  let older = false;
  let newer: PlainLine | undefined;
  for (const line of linesBackwards(store, pipeline)) {
    const at = Date.parse(String(line["at"]));
    const repeated = isRepeatedLoad(line, newer);
    older = repeated || line["type"] === "pipeline.checkpoint";
    newer = line;
    const removed = line["type"] === "pipeline.removed";
    const told =
      line["type"] === "pipeline.checkpoint" &&
      typeof line["digest"] === "string" &&
      line["removed"] !== true;
    if (repeated || (!removed && !told && line["type"] !== "pipeline.loaded")) continue;
    if (at <= time) {
      const since = Date.parse(String(line["since"]));
      return {
        schedules: Array.isArray(line["schedules"])
          ? (line["schedules"] as Schedule[]).map(wholeSchedule)
          : [],
        since: Number.isNaN(since) ? at : since,
        until,
        ...defined({ removedAt: removed ? at : undefined }),
      };
    }
    if (told) continue;
    until = at;
    if (!removed) firstLoad = at;
  }
  return { ...defined({ firstLoad }), older };
}
