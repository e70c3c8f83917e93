/** What the routes of alerts answer, as zod: see shapes.ts. */
import * as z from "zod";
import { ALERT_KINDS } from "../../core/alert.ts";
import { because, orNull, time } from "./shapes.ts";

const kind = z.enum(ALERT_KINDS);
const message = z
  .strictObject({
    key: z.string(),
    kind,
    of: orNull(kind).meta({ description: "what was wrong, of a `recovered`" }),
    channel: z.string(),
    pipeline: orNull(z.string()),
    run: orNull(z.string()),
    because,
    count: z.int(),
    dueAt: time,
    endedAt: orNull(time),
    attempts: z.int(),
    retryAt: orNull(time),
    fault: orNull(z.string()),
  })
  .meta({ id: "AlertMessage" });

/** What fires, waits, was sent: `orchd alerts --json`. */
export const alertsShape = z
  .strictObject({
    at: time,
    configured: z.boolean(),
    running: z.boolean(),
    asOf: orNull(time),
    fault: orNull(z.string()),
    firing: z.array(
      z.strictObject({
        kind,
        pipeline: orNull(z.string()),
        since: time,
        count: z.int(),
        because,
        run: orNull(z.string()),
        told: z.boolean(),
        untold: orNull(z.enum(["after", "quiet", "group", "paused", "silenced", "no_rule"])),
      }),
    ),
    waiting: z.array(message),
    sent: z.array(message),
    gaveUp: z.array(message),
    counts: z.strictObject({ firing: z.int(), waiting: z.int() }),
    silences: z.array(
      z.strictObject({
        pipeline: z.string(),
        until: time,
        because: orNull(because),
        by: orNull(z.string()),
      }),
    ),
    channels: z.array(
      z.strictObject({
        name: z.string(),
        kind: orNull(z.string()),
        broken: z.boolean(),
        sent: z.int(),
        failed: z.int(),
        gaveUp: z.int(),
        lastSentAt: orNull(time),
        fault: orNull(z.string()),
      }),
    ),
  })
  .meta({ id: "Alerts" });
