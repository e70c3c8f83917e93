/**
 * A webhook: the alert as JSON, for programs. `kind` to `url` come first and in this order; more
 * members may follow in a later release. The key goes with it as `Idempotency-Key`, so a receiver
 * knows a message that it already has.
 */
import { createHmac } from "node:crypto";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Message } from "../channel.ts";
import { addressOf } from "./address.ts";
import { JSON_HEADERS, type WebKind } from "./web-kind.ts";
import { wellFormed } from "./plain-text.ts";

type WebhookSettings = Extract<ChannelSettings, { kind: "webhook" }>;

/** What is of the connection, and not for a person to set. */
const OURS = new Set(["content-length", "transfer-encoding", "connection", "expect", "upgrade"]);

/** Posts the alert as it is. */
export const webhook: WebKind<WebhookSettings> = {
  post(settings, message, secrets) {
    const body = webhookBody(message);
    const own = Object.entries(settings.headers ?? {}).filter(
      ([name]) => !OURS.has(name.toLowerCase()),
    );
    const key = settings.sign === undefined ? undefined : secrets.read(settings.sign);
    return {
      url: addressOf(settings.url, secrets),
      headers: {
        ...Object.fromEntries(own.map(([name, value]) => [name, secrets.read(value)])),
        ...JSON_HEADERS,
        "Idempotency-Key": message.alert.key,
        ...(key === undefined
          ? {}
          : {
              "X-Orchd-Signature": `sha256=${createHmac("sha256", key).update(body).digest("hex")}`,
            }),
      },
      body,
    };
  },
};

/** The alert as JSON. What does not apply is null. */
export function webhookBody({ alert, title, text, url }: Message): string {
  const { kind, pipeline, run, status, because, at, key, of, channel } = alert;
  const { cause, count, telling, others = [] } = alert;
  const body = {
    kind,
    pipeline: pipeline ?? null,
    run: run ?? null,
    status: status ?? null,
    because,
    at,
    key,
    url: url ?? null,
    of: of ?? null,
    channel,
    cause: cause ?? null,
    count,
    telling,
    others,
    title,
    text,
  };
  return JSON.stringify(body, (_, value: unknown) =>
    typeof value === "string" ? wellFormed(value) : value,
  );
}
