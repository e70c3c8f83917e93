/**
 * `notify:` of orchd.yaml and of a pipeline file: who is told what, and how. Pure: the schemas, and
 * the settings with every default filled in.
 */
import * as z from "zod";
import { ALERT_KINDS } from "./alert.ts";
import { durationSchema, nameSchema, secretSchema } from "./schema-parts.ts";

const text = z.string().min(1).max(4_096);
/** A text, or a secret by its name: an address that holds a token is one. */
const textOrSecret = z.union([text, secretSchema]);

const common = {
  timeout: durationSchema.optional().describe("how long one try may take; default: 30s"),
  template: text
    .optional()
    .describe(
      "the text to send instead, with {{kind}}, {{pipeline}}, {{run}}, {{status}}, {{because}}, " +
        "{{at}}, {{count}}, {{log}}, {{url}} and {{command}}",
    ),
};

/** How one channel is reached: one block a kind. */
export const channelSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("mail"),
    to: z.array(text).min(1).describe("who gets it: ops@example.org, or Name <ops@example.org>"),
    from: text.optional().describe("default: orchd@ and the machine's name"),
    smtp: z.strictObject({
      host: text,
      port: z.int().min(1).max(65_535).optional().describe("default: 465 with tls, else 25"),
      tls: z
        .enum(["implicit", "starttls", "opportunistic", "none"])
        .optional()
        .describe("default: implicit at port 465; starttls with a user; else opportunistic"),
      ca: text.optional().describe("a file with the certificates that are trusted, from the root"),
      user: textOrSecret.optional(),
      password: secretSchema.optional(),
    }),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("webhook"),
    url: textOrSecret,
    sign: secretSchema
      .optional()
      .describe("the key of X-Orchd-Signature, which is sha256=HEX of the body"),
    headers: z.record(z.string(), textOrSecret).optional(),
    ca: text.optional().describe("a file with the certificates that are trusted, from the root"),
    ...common,
  }),
  z.strictObject({ kind: z.literal("slack"), url: textOrSecret, ...common }),
  z.strictObject({ kind: z.literal("discord"), url: textOrSecret, ...common }),
  z.strictObject({ kind: z.literal("teams"), url: textOrSecret, ...common }),
  z.strictObject({
    kind: z.literal("ntfy"),
    url: textOrSecret.describe("with the topic: https://ntfy.sh/my-topic"),
    token: secretSchema.optional(),
    priority: z.int().min(1).max(5).optional(),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("gotify"),
    url: textOrSecret,
    token: secretSchema,
    priority: z.int().min(0).max(10).optional(),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("telegram"),
    token: secretSchema,
    chat: z.union([text, z.int()]),
    url: text.optional().describe("default: https://api.telegram.org"),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("pagerduty"),
    key: secretSchema.describe("the integration's routing key"),
    url: text.optional().describe("default: https://events.pagerduty.com/v2/enqueue"),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("command"),
    run: z.array(z.string()).min(1).describe("the program and its words: never a shell's text"),
    env: z.record(z.string(), textOrSecret).optional(),
    ...common,
  }),
]);

/** A channel as written. */
export type ChannelSettings = z.infer<typeof channelSchema>;

const kinds = z.array(z.enum(ALERT_KINDS)).min(1);
const clockTime = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day such as 22:00");

const rule = {
  on: kinds.optional().describe("what is told; default: failed, missed, invalid, recovered"),
  to: z.array(nameSchema).min(1).describe("the channels' names"),
  after: z.int().min(1).optional().describe("told at the n-th cause in a row; default: 1"),
  group: durationSchema
    .optional()
    .describe("what comes within this time is told in one message; default: at once"),
  repeat: durationSchema
    .optional()
    .describe("told again while it holds, each time after so long; default: once"),
  late: durationSchema
    .optional()
    .describe("a slot that starts later than this is late; default: the pipeline's grace"),
  queued: durationSchema.optional().describe("a run that waits longer is queued; default: 1h"),
  quiet: z
    .strictObject({
      from: clockTime,
      to: clockTime,
      timezone: z.string().optional().describe("IANA time zone; default: orchd.yaml's"),
    })
    .optional()
    .describe("hours of the day in which nothing is sent: it is told in one message after them"),
};

/** A rule of orchd.yaml: whom to tell what. */
export const ruleSchema = z.strictObject({
  ...rule,
  tags: z.array(text).optional().describe("only pipelines with one of these tags; default: all"),
  pipelines: z.array(nameSchema).optional().describe("only these pipelines; default: all"),
});

/** `notify:` of a pipeline file: false tells nobody; rules take the place of orchd.yaml's. */
export const pipelineNotifySchema = z
  .union([z.literal(false), z.strictObject(rule), z.array(z.strictObject(rule)).min(1)])
  .describe("who is told of this pipeline, instead of what orchd.yaml's rules say");

/** `notify:` of orchd.yaml. */
export const notifySchema = z
  .strictObject({
    channels: z.record(nameSchema, channelSchema).optional(),
    rules: z.array(ruleSchema).optional(),
    heartbeat: z
      .strictObject({
        url: textOrSecret,
        every: durationSchema.optional().describe("default: 1m"),
        timeout: durationSchema.optional().describe("default: 10s"),
      })
      .optional()
      .describe("an address that is asked while the daemon schedules, as healthchecks.io wants"),
    url: text.optional().describe("the page's address, for the links of messages"),
  })
  .superRefine((notify, context) => {
    const names = new Set(Object.keys(notify.channels ?? {}));
    for (const [n, { to }] of (notify.rules ?? []).entries())
      for (const [m, name] of to.entries())
        if (!names.has(name))
          context.addIssue({
            code: "custom",
            path: ["rules", n, "to", m],
            message: `names the channel ${name}, which \`channels\` does not have`,
          });
  });

/** `notify:` of orchd.yaml as written, with a checked shape. */
export type NotifyDefinition = z.infer<typeof notifySchema>;
/** A rule of orchd.yaml as written. */
export type RuleDefinition = z.infer<typeof ruleSchema>;
/** `notify:` of a pipeline file as written. */
export type PipelineNotify = z.infer<typeof pipelineNotifySchema>;
