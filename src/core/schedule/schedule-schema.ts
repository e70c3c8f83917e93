/**
 * What a person may write under `schedule`, and what it becomes.
 *
 * A schedule is a cron pattern, an interval from a start, or one moment. The schema checks its
 * shape. resolve-schedule.ts checks what it means (the pattern, the zone, the times) and returns a
 * {@link Schedule}: there, defaults are filled in, times are UTC and durations are milliseconds.
 */
import * as z from "zod";
import { durationSchema, nameSchema, paramsSchema } from "../schema-parts.ts";
import type { Json } from "../snapshot.ts";
import { DAY_MS } from "../time.ts";

/** What happens to slots that were due while no daemon was up. */
export const CATCH_UP_MODES = ["none", "latest", "all"] as const;
/** One of {@link CATCH_UP_MODES}. */
export type CatchUp = (typeof CATCH_UP_MODES)[number];

/** The longest accepted pattern. Nobody means a longer one. */
export const MAX_CRON_LENGTH = 256;
/** What is wrong with a longer one, as the rest of a sentence about it. */
export const CRON_TOO_LONG = "is longer than any cron pattern needs to be (256 characters)";

const moment = z
  .string()
  .describe("ISO 8601; without an offset it is local time in the schedule's timezone");
const cron = z.string().max(MAX_CRON_LENGTH, CRON_TOO_LONG);

/** A window in which slots are skipped. */
export const blackoutSchema = z.strictObject({
  cron: cron.optional().describe("when each window begins; needs `duration`"),
  duration: durationSchema.optional().describe("how long each window of `cron` lasts"),
  from: moment.optional().describe("when the one window begins; needs `to`"),
  to: moment.optional().describe("when the one window ends; this moment is not in it"),
});

/** One schedule as a person writes it. */
export const scheduleSchema = z
  .strictObject({
    name: nameSchema
      .optional()
      .describe(
        "required if the schedule has params of its own, and then not ending in -m, -bN or -rN; " +
          "default: none",
      ),
    cron: cron
      .optional()
      .describe(
        "a pattern of 5 fields, or 6 with seconds first; names, N/step, L, W, # and @daily are " +
          "known; the day fields join as in cron; wins over the other two ways",
      ),
    intervalSeconds: z
      .int()
      .min(1)
      .optional()
      .describe("the seconds from slot to slot, counted from `startTime`, which is then required"),
    runOnceAt: moment
      .optional()
      .describe("the only slot; ISO 8601, local in the schedule's timezone without an offset"),
    timezone: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe("IANA time zone, no abbreviation and no offset; default: orchd.yaml's, else UTC"),
    startTime: moment.optional().describe("no slot before it; default: none"),
    endTime: moment.optional().describe("no slot after it; default: none"),
    stopAfter: z
      .int()
      .min(1)
      .optional()
      .describe(
        "the schedule ends after this many fired slots; it needs a name if another schedule of " +
          "the pipeline has none; default: never",
      ),
    jitterSeconds: z
      .number()
      .min(0)
      .max(86_400)
      .optional()
      .describe(
        "each slot is due up to this many seconds later, always the same for one slot; default: 0",
      ),
    catchUp: z
      .enum(CATCH_UP_MODES)
      .optional()
      .describe("which slots of a downtime run late; default: latest"),
    catchUpWindow: durationSchema.optional().describe("older slots never run late; default: 24h"),
    maxCatchUp: z
      .int()
      .min(1)
      .optional()
      .describe("the most slots of one downtime that run late; default: 100"),
    blackout: z
      .union([blackoutSchema, z.array(blackoutSchema)])
      .optional()
      .describe("windows in which slots are skipped; default: none"),
    params: paramsSchema
      .optional()
      .describe("this schedule's params, which override the pipeline's; default: none"),
  })
  .describe("a cron pattern, an interval from a start, or one moment");

/** One schedule as written. */
export type ScheduleDefinition = z.infer<typeof scheduleSchema>;

/**
 * A window in which slots are skipped: one each time that a pattern fires, or one single [from,
 * to).
 */
export type Blackout =
  | { readonly cron: string; readonly durationMs: number }
  /** ISO 8601, UTC. */
  | { readonly from: string; readonly to: string };

/**
 * A schedule with every default filled in. Plain JSON. It has exactly one of `cron`,
 * `intervalSeconds` (with `startTime`) and `runOnceAt`. All times are ISO 8601 in UTC.
 */
export interface Schedule {
  readonly name?: string;
  /**
   * Five or six fields, checked; a nickname is replaced by its fields. cron-calculator.ts evaluates
   * it in `timezone`.
   */
  readonly cron?: string;
  readonly intervalSeconds?: number;
  /** A whole second. */
  readonly runOnceAt?: string;
  readonly timezone: string;
  /** No slot is earlier. A whole second if `intervalSeconds` counts from it. */
  readonly startTime?: string;
  /** No slot is later. */
  readonly endTime?: string;
  readonly stopAfter?: number;
  readonly jitterSeconds: number;
  readonly catchUp: CatchUp;
  readonly catchUpWindowMs: number;
  readonly maxCatchUp: number;
  readonly blackout: readonly Blackout[];
  /**
   * The schedule's own params, which override the pipeline's. Absent if it has none. With params it
   * has a `name`.
   */
  readonly params?: { readonly [key: string]: Json };
}

/** The values for what a schedule does not say (semantics.md 9). */
export const SCHEDULE_DEFAULTS = {
  jitterSeconds: 0,
  catchUp: "latest",
  catchUpWindowMs: DAY_MS,
  maxCatchUp: 100,
} as const;
