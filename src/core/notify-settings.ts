/**
 * `notify:` of orchd.yaml and of a pipeline file: who is told what, and how. Pure: the schemas, and
 * the settings with every default filled in.
 */
import * as z from "zod";
import { ALERT_KINDS, type AlertKind } from "./alert.ts";
import { defined } from "./defined.ts";
import { didYouMean } from "./did-you-mean.ts";
import { checkedDuration, parseDuration } from "./duration.ts";
import type { Fault } from "./fault.ts";
import { messageTemplateFault } from "./message-template.ts";
import { readZoneName } from "./schedule/zone-name.ts";
import { durationSchema, nameSchema, secretSchema } from "./schema-parts.ts";

const text = z.string().min(1).max(4_096);
/** A text, or a secret by its name: an address that holds a token is one. */
const textOrSecret = z.union([text, secretSchema]);

/** A time that may not be none, as nothing could be sent within it. */
const period = durationSchema.refine(
  (value) => (parseDuration(value) ?? 1) > 0,
  "must be more than 0",
);
const webText = text.regex(
  /^https?:\/\/[^\s/]\S*$/,
  "must begin with https:// or http://; if it holds a token, name its secret: {secret: NAME}",
);
const webAddress = z.union([webText, secretSchema]);
const address = webAddress.describe("the address; a secret by its name if it holds a token");
const trusted = text
  .optional()
  .describe("a file with the certificates that are trusted, from the root; default: Node's");

const kindOf = <const K extends string>(kind: K): z.ZodLiteral<K> =>
  z.literal(kind).describe("how it is sent; each kind has its own keys");

const common = {
  timeout: period.optional().describe("how long one try may take; default: 30s"),
  template: text
    .superRefine((template, context) => {
      const message = messageTemplateFault(template);
      if (message !== undefined) context.addIssue({ code: "custom", message });
    })
    .optional()
    .describe(
      "the text to send instead, with {{kind}}, {{pipeline}}, {{run}}, {{status}}, {{because}}, " +
        "{{at}}, {{count}}, {{log}}, {{url}} and {{command}}; default: a text that says all of it",
    ),
};

/** What each kind may have that sends by HTTP. */
const web = { ca: trusted, ...common };

/** How one channel is reached: one block a kind. */
export const channelSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: kindOf("mail"),
    to: z.array(text).min(1).describe("who gets it: ops@example.org, or Name <ops@example.org>"),
    from: text.optional().describe("default: orchd@ and the machine's name"),
    smtp: z
      .strictObject({
        host: text.describe("the mail server"),
        port: z
          .int()
          .min(1)
          .max(65_535)
          .optional()
          .describe("default: 465 with tls: implicit, 587 with a user, else 25"),
        tls: z
          .enum(["implicit", "starttls", "opportunistic", "none"])
          .optional()
          .describe(
            "default: implicit at port 465, starttls with a user or ca, else opportunistic",
          ),
        ca: trusted,
        user: textOrSecret.optional().describe("default: no login"),
        password: secretSchema.optional().describe("the user's; default: none"),
      })
      .refine(
        ({ user, password }) => (user === undefined) === (password === undefined),
        "needs both a user and a password, or neither",
      )
      .describe("the server that takes the mail"),
    ...common,
  }),
  z.strictObject({
    kind: kindOf("webhook"),
    url: address,
    sign: secretSchema
      .optional()
      .describe("the key of X-Orchd-Signature, which is sha256=HEX of the body; default: none"),
    headers: z
      .record(z.string(), textOrSecret)
      .optional()
      .describe("headers of the request, beside orchd's own; default: none"),
    ...web,
  }),
  z.strictObject({ kind: kindOf("slack"), url: address, ...web }),
  z.strictObject({ kind: kindOf("discord"), url: address, ...web }),
  z.strictObject({ kind: kindOf("teams"), url: address, ...web }),
  z.strictObject({
    kind: kindOf("ntfy"),
    url: webAddress.describe("with the topic: https://ntfy.sh/my-topic"),
    token: secretSchema.optional().describe("default: none"),
    priority: z.int().min(1).max(5).optional().describe("default: the server's"),
    ...web,
  }),
  z.strictObject({
    kind: kindOf("gotify"),
    url: address,
    token: secretSchema.describe("the token of the application or the bot"),
    priority: z.int().min(0).max(10).optional().describe("default: the server's"),
    ...web,
  }),
  z.strictObject({
    kind: kindOf("telegram"),
    token: secretSchema.describe("the token of the application or the bot"),
    chat: z.union([text, z.int()]).describe("the chat's number, or @name"),
    url: text.optional().describe("default: https://api.telegram.org"),
    ...web,
  }),
  z.strictObject({
    kind: kindOf("pagerduty"),
    key: secretSchema.describe("the integration's routing key"),
    url: text.optional().describe("default: https://events.pagerduty.com/v2/enqueue"),
    source: text
      .optional()
      .describe("what the incidents are of: a name that lasts; default: the machine's name"),
    ...web,
  }),
  z.strictObject({
    kind: kindOf("command"),
    run: z.array(z.string()).min(1).describe("the program and its words: never a shell's text"),
    env: z
      .record(z.string(), textOrSecret)
      .optional()
      .describe("environment variables of the program, beside orchd's own; default: none"),
    ...common,
  }),
]);

/** A channel as written. */
export type ChannelSettings = z.infer<typeof channelSchema>;

const clockTime = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day such as 22:00");

const quietSchema = z
  .strictObject({
    from: clockTime.describe("the first minute that is quiet"),
    to: clockTime.describe("the first minute that is not; before `from`: on the next day"),
    timezone: z.string().optional().describe("IANA time zone; default: orchd.yaml's"),
  })
  .superRefine(({ from, to, timezone }, context) => {
    if (from === to)
      context.addIssue({ code: "custom", path: ["to"], message: "is the same time as `from`" });
    const zone = timezone === undefined ? undefined : readZoneName(timezone);
    if (zone?.ok === false)
      context.addIssue({ code: "custom", path: ["timezone"], message: zone.message });
  })
  .describe(
    "hours of the day in which nothing is sent: it is sent after them, in one message of each " +
      "kind; default: none",
  );

const rule = {
  on: z
    .array(z.enum(ALERT_KINDS))
    .min(1)
    .optional()
    .describe(
      "what is told; default: failed, missed, invalid, recovered, disk_full, damaged and " +
        "channel_broken",
    ),
  to: z.array(nameSchema).min(1).describe("the channels' names"),
  after: z
    .int()
    .min(1)
    .optional()
    .describe("told at the n-th cause in a row, of failed, missed, late and overdue; default: 1"),
  group: durationSchema
    .optional()
    .describe("what comes within this time is told in one message of each kind; default: at once"),
  repeat: period
    .optional()
    .describe("told again while it holds, each time after so long; default: told once"),
  late: period
    .optional()
    .describe(
      "a slot that starts later than this is late; default: when the ledger says `slot.late`",
    ),
  queued: period.optional().describe("a run that waits longer is queued; default: 1h"),
  quiet: quietSchema.optional(),
};

/** A rule of orchd.yaml: whom to tell what. */
export const ruleSchema = z.strictObject({
  ...rule,
  tags: z
    .array(text)
    .min(1)
    .optional()
    .describe("only pipelines with one of these tags; default: all"),
  pipelines: z.array(nameSchema).min(1).optional().describe("only these pipelines; default: all"),
});

const pipelineRuleSchema = z.strictObject(rule);

/** `notify:` of a pipeline file: false tells nobody; rules take the place of orchd.yaml's. */
export const pipelineNotifySchema = z
  .union([z.literal(false), pipelineRuleSchema, z.array(pipelineRuleSchema).min(1)])
  .describe(
    "who is told of this pipeline, as one rule or a list; false: nobody; default: what " +
      "orchd.yaml's rules say",
  );

/** `notify:` of orchd.yaml. */
export const notifySchema = z
  .strictObject({
    channels: z
      .record(nameSchema, channelSchema)
      .optional()
      .describe("the ways to people, by name; default: none"),
    rules: z
      .array(ruleSchema)
      .optional()
      .describe(
        "who is told what: of rules that tell one channel the same, the first counts; default: " +
          "one rule, with all channels",
      ),
    heartbeat: z
      .strictObject({
        url: address,
        every: period.optional().describe("default: 1m"),
        timeout: period.optional().describe("default: 10s"),
      })
      .optional()
      .describe(
        "an address that is asked while the daemon schedules, as healthchecks.io wants; default: " +
          "none",
      ),
    url: text.optional().describe("the page's address, for the links of messages; default: none"),
  })
  .superRefine((notify, context) => {
    const names = Object.keys(notify.channels ?? {});
    for (const [n, { to }] of (notify.rules ?? []).entries())
      for (const [m, name] of to.entries())
        if (!names.includes(name))
          context.addIssue({
            code: "custom",
            path: ["rules", n, "to", m],
            message:
              `names the channel ${name}, which \`channels\` does not have` +
              didYouMean(name, names),
          });
  });

/** `notify:` of orchd.yaml as written, with a checked shape. */
export type NotifyDefinition = z.infer<typeof notifySchema>;
/** A rule of orchd.yaml as written. */
export type RuleDefinition = z.infer<typeof ruleSchema>;
/** `notify:` of a pipeline file as written. */
export type PipelineNotify = z.infer<typeof pipelineNotifySchema>;

/** A channel with its time limit. */
export type ResolvedChannel = ChannelSettings & { readonly timeoutMs: number };

/** Hours in which nothing is sent: from `from` to before `to`, in minutes of the day. */
export interface QuietHours {
  readonly from: number;
  /** Less than `from`: on the next day. Never equal to it. */
  readonly to: number;
  /** As the IANA database spells it. */
  readonly timezone: string;
}

/** A rule with every default filled in. */
export interface NotifyRule {
  readonly on: readonly AlertKind[];
  /** Names of channels. */
  readonly to: readonly string[];
  readonly after: number;
  /** 0: at once. */
  readonly groupMs: number;
  /** Undefined: once. */
  readonly repeatMs?: number;
  /** Undefined: a slot is late when the ledger says so. */
  readonly lateMs?: number;
  readonly queuedMs: number;
  readonly quiet?: QuietHours;
  /** Undefined: all pipelines, and what concerns the daemon. */
  readonly tags?: readonly string[];
  /** Undefined: all pipelines, and what concerns the daemon. */
  readonly pipelines?: readonly string[];
}

/** `notify:` of orchd.yaml with every default filled in. */
export interface NotifySettings {
  readonly channels: { readonly [name: string]: ResolvedChannel };
  readonly rules: readonly NotifyRule[];
  readonly heartbeat?: {
    readonly url: ChannelAddress;
    readonly everyMs: number;
    readonly timeoutMs: number;
  };
  /** The page's address, without a slash at its end. */
  readonly url?: string;
}

/** An address, or the name of the secret that holds it. */
export type ChannelAddress = z.infer<typeof textOrSecret>;

/** What a rule tells if it has no `on`. */
export const DEFAULT_KINDS: readonly AlertKind[] = [
  "failed",
  "missed",
  "invalid",
  "recovered",
  "disk_full",
  "damaged",
  "channel_broken",
];

/** Fills in the defaults of a checked `notify:` of orchd.yaml. @param timezone orchd.yaml's */
export function resolveNotify(written: NotifyDefinition, timezone: string): NotifySettings {
  const channels = Object.entries(written.channels ?? {});
  const { heartbeat } = written;
  const all = channels.map(([name]) => name);
  const rules = written.rules ?? (all.length === 0 ? [] : [{ to: all }]);
  return defined({
    channels: Object.fromEntries(
      channels.map(([name, channel]) => [
        name,
        { ...channel, timeoutMs: checkedDuration(channel.timeout) ?? 30_000 },
      ]),
    ),
    rules: rules.map((one) => resolveRule(one, timezone)),
    heartbeat:
      heartbeat === undefined
        ? undefined
        : {
            url: heartbeat.url,
            everyMs: checkedDuration(heartbeat.every) ?? 60_000,
            timeoutMs: checkedDuration(heartbeat.timeout) ?? 10_000,
          },
    url: written.url?.replace(/\/+$/, ""),
  });
}

/** Fills in the defaults of a checked rule. @param timezone orchd.yaml's */
export function resolveRule(written: RuleDefinition, timezone: string): NotifyRule {
  const { quiet } = written;
  return defined({
    on: written.on ?? DEFAULT_KINDS,
    to: [...new Set(written.to)],
    after: written.after ?? 1,
    groupMs: checkedDuration(written.group) ?? 0,
    repeatMs: checkedDuration(written.repeat),
    lateMs: checkedDuration(written.late),
    queuedMs: checkedDuration(written.queued) ?? 3_600_000,
    quiet:
      quiet === undefined
        ? undefined
        : {
            from: minutesOf(quiet.from),
            to: minutesOf(quiet.to),
            timezone: zoneOf(quiet.timezone ?? timezone),
          },
    tags: written.tags,
    pipelines: written.pipelines,
  });
}

/**
 * The rules of a pipeline's own `notify:`. Undefined: it has none, and orchd.yaml's hold.
 *
 * @param written as its ledger has it: what is no `notify:` (a newer release wrote it) is none
 */
export function resolvePipelineNotify(
  written: unknown,
  timezone: string,
): readonly NotifyRule[] | undefined {
  const read = pipelineNotifySchema.safeParse(written);
  if (!read.success) return undefined;
  if (read.data === false) return [];
  return [read.data].flat().map((one) => resolveRule(one, timezone));
}

/** The channels that a pipeline's `notify:` names and orchd.yaml does not have. */
export function notifyFaults(
  written: PipelineNotify | undefined,
  settings: Pick<NotifySettings, "channels"> | undefined,
): Fault[] {
  if (written === undefined || written === false) return [];
  const channels = Object.keys(settings?.channels ?? {});
  const rules = Array.isArray(written) ? written : [written];
  return rules.flatMap(({ to }, n) =>
    to.flatMap((name, m) =>
      channels.includes(name)
        ? []
        : [
            {
              path: ["notify", ...(Array.isArray(written) ? [n] : []), "to", m],
              message:
                `names channel ${JSON.stringify(name)}, which orchd.yaml does not have under ` +
                `notify: channels:${didYouMean(name, channels)}`,
            },
          ],
    ),
  );
}

function minutesOf(text: string): number {
  const [hours, minutes] = text.split(":").map(Number);
  return hours! * 60 + minutes!;
}

function zoneOf(text: string): string {
  const read = readZoneName(text);
  return read.ok ? read.zone : "UTC";
}
