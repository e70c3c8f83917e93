/**
 * PagerDuty, by the Events API v2. Each fault is an incident of its own, and `recovered` resolves
 * it.
 *
 * - `dedup_key` names the incident: the machine, the root, the pipeline and the kind of fault. So a
 *   fault that is told again adds to its incident, and its recovery finds it. An alert's own key
 *   would open an incident at each telling, and nothing would resolve any.
 * - The machine and the root are part of it: machines of one fleet have the same pipelines, and
 *   often one integration. Where a machine's name changes at each start, as a container's does,
 *   `source` gives a lasting one; otherwise an incident stays open, which is the smaller harm.
 * - A message about several pipelines becomes as many events: each has to be resolved by itself.
 *   They are sent again together if one fails, which changes nothing at the receiver.
 *
 * Limits: a summary of 1,024 characters, a key of 255, an event of 512 KB.
 */
import type { AlertItem, AlertKind, FaultKind } from "../../core/alert.ts";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import { sha256 } from "../../core/sha256.ts";
import type { Message } from "../channel.ts";
import { addressOf } from "./address.ts";
import type { ChannelHost } from "./channel-host.ts";
import { clipped, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebKind, type WebPost } from "./web-kind.ts";

type PagerDutySettings = Extract<ChannelSettings, { kind: "pagerduty" }>;

const URL_DEFAULT = "https://events.pagerduty.com/v2/enqueue";
const SUMMARY = 1_024;

const SEVERITIES: Readonly<Record<AlertKind, "critical" | "error" | "warning" | "info">> = {
  failed: "error",
  missed: "error",
  late: "warning",
  overdue: "warning",
  invalid: "error",
  recovered: "info",
  queued: "warning",
  disk_full: "critical",
  restarted: "warning",
  damaged: "critical",
  channel_broken: "error",
};

/** Opens and resolves incidents. */
export const pagerduty: WebKind<PagerDutySettings> = {
  posts(settings, message, secrets, host) {
    const url = addressOf(settings.url ?? URL_DEFAULT, secrets);
    const key = secrets.read(settings.key).trim();
    const { others = [], ...first } = message.alert;
    const summaries = [message.title, ...others.map(summaryOf)];
    return [first, ...others].map((item, index): WebPost => {
      const event = eventOf(item, summaries[index]!, message, settings.source, host);
      return { url, headers: JSON_HEADERS, body: wellFormedJson({ routing_key: key, ...event }) };
    });
  },
};

const summaryOf = ({ kind, pipeline, because }: AlertItem): string =>
  `${pipeline ?? "orchd"} ${kind}: ${because}`;

function eventOf(
  item: AlertItem,
  summary: string,
  { alert, text, url }: Message,
  source: string | undefined,
  host: ChannelHost,
): object {
  const fault = item.kind === "recovered" ? (item.of ?? alert.of) : item.kind;
  const dedup_key = incidentKey(
    item.pipeline,
    fault ?? "failed",
    source ?? host.machine,
    host.root,
  );
  if (item.kind === "recovered") return { event_action: "resolve", dedup_key };
  return {
    event_action: "trigger",
    dedup_key,
    client: "orchd",
    ...(url === undefined ? {} : { client_url: url }),
    payload: {
      summary: clipped(summary, SUMMARY),
      source: source ?? host.machine,
      severity: SEVERITIES[item.kind],
      timestamp: item.at,
      class: item.kind,
      ...(item.pipeline === undefined ? {} : { component: item.pipeline }),
      custom_details: {
        because: item.because,
        run: item.run ?? null,
        status: item.status ?? null,
        count: item.count,
        key: alert.key,
        text,
      },
    },
  };
}

/** The incident's name: the same for a fault and for its recovery. */
function incidentKey(
  pipeline: string | undefined,
  kind: FaultKind,
  source: string,
  root: string,
): string {
  const where = sha256(`${source}\n${root}`).slice(0, 16);
  return `orchd/${where}/${pipeline ?? "-"}/${kind}`;
}
