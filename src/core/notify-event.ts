/**
 * Every line of `runs/.orchd/notify.jsonl`: what people are to be told, and what became of it. It
 * has the framing of every ledger, and is written by `orchd notify` alone, under a lock of its own.
 *
 * - What is decided from lines of the feed stands in one write: the `notify.due` lines, then the
 *   `notify.checkpoint` with the feed's position after those lines. A `notify.due` behind the last
 *   checkpoint was not acknowledged and never sent: the feed is read again from the checkpoint, and
 *   the same is decided with the same keys.
 * - A message is sent when its `notify.due` is durable. After it comes `notify.sent`, or
 *   `notify.failed`, and at last `notify.gave_up`. A crash between sends again, with the same key.
 */
import * as z from "zod";
import { ALERT_KINDS } from "./alert.ts";
import type { Json } from "./snapshot.ts";

const time = z.string().meta({ description: "ISO 8601, UTC" });
const key = z.string().meta({ description: "the message's name: that of its `notify.due`" });
const because = z.string().meta({ description: "a short reason that a person understands" });
const kind = z.enum(ALERT_KINDS);
const item = z.looseObject({
  kind,
  of: z.string().optional(),
  pipeline: z.string().optional(),
  run: z.string().optional(),
  status: z.string().optional(),
  because,
  at: time,
  count: z.int().min(1),
});

/** How a channel fared since the ledger began. */
const totals = z.looseObject({
  sent: z.int(),
  failed: z.int(),
  gaveUp: z.int(),
  lastSentAt: time.optional(),
  fault: z.string().optional(),
});

const events = [
  z
    .looseObject({ type: z.literal("notify.began"), format: z.int(), position: z.string() })
    .meta({ description: "The header. `position`: where the feed begins." }),
  z
    .looseObject({
      type: z.literal("notify.due"),
      key,
      kind,
      of: z.string().optional(),
      channel: z.string(),
      pipeline: z.string().optional(),
      run: z.string().optional(),
      status: z.string().optional(),
      because,
      happened: time.meta({ description: "when the cause was written; ISO 8601, UTC" }),
      cause: z.string().optional().meta({ description: "the line that is the cause: `FILE:SEQ`" }),
      count: z.int().min(1),
      telling: z.int().min(1),
      others: z.array(item).optional(),
      dueAt: time.optional().meta({
        description: "when it was due first; this and what follows: of a line that rotation copied",
      }),
      attempts: z.int().min(0).optional(),
      retryAt: time.optional(),
      fault: z.string().optional(),
    })
    .meta({ description: "A message is to be sent." }),
  z
    .looseObject({
      type: z.literal("notify.sent"),
      key,
      channel: z.string(),
      attempt: z.int().min(1),
      answer: z.string().optional(),
    })
    .meta({ description: "The channel took the message." }),
  z
    .looseObject({
      type: z.literal("notify.failed"),
      key,
      channel: z.string(),
      attempt: z.int().min(1),
      because,
      retryAt: time,
    })
    .meta({ description: "The channel did not take it: it is tried again at `retryAt`." }),
  z
    .looseObject({ type: z.literal("notify.gave_up"), key, channel: z.string(), because })
    .meta({ description: "The message is not tried again." }),
  z
    .looseObject({ type: z.literal("notify.state"), text: z.string() })
    .meta({ description: "A part of the state, as text, where it is too long for one line." }),
  z
    .looseObject({
      type: z.literal("notify.checkpoint"),
      position: z.string(),
      state: z.custom<Json>((value) => value !== undefined).optional(),
      parts: z
        .int()
        .optional()
        .meta({ description: "how many `notify.state` lines before it hold the state" }),
      totals: z.record(z.string(), totals).optional(),
    })
    .meta({
      description: "All that is known: the feed's position, and the state of each alert after it.",
    }),
] as const;

/** Any line of notify.jsonl, without its framing. */
export const notifyEventSchema = z.discriminatedUnion("type", [...events]);

/** An event of notify.jsonl: {@link notifyEventSchema}. */
export type NotifyEvent = z.infer<typeof notifyEventSchema>;
