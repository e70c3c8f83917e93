/**
 * A webhook: the alert as JSON, for programs. `kind` to `url` come first and in this order; more
 * members may follow in a later release. The key goes with it as `Idempotency-Key`, so a receiver
 * knows a message that it already has.
 */
import { createHmac } from "node:crypto";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import { addressOf } from "./address.ts";
import { JSON_HEADERS, type WebKind, type WebPost } from "./web-kind.ts";
import { webhookBody } from "./webhook-body.ts";

type WebhookSettings = Extract<ChannelSettings, { kind: "webhook" }>;

/** What is of the connection, and not for a person to set. */
const OURS = new Set([
  "idempotency-key",
  "content-length",
  "transfer-encoding",
  "connection",
  "expect",
  "upgrade",
]);

/** Posts the alert as it is. */
export const webhook: WebKind<WebhookSettings> = {
  posts(settings, message, secrets) {
    const body = webhookBody(message);
    const own = Object.entries(settings.headers ?? {}).filter(
      ([name]) => !OURS.has(name.toLowerCase()),
    );
    const key = settings.sign === undefined ? undefined : secrets.read(settings.sign);
    const post: WebPost = {
      url: addressOf(settings.url, secrets),
      headers: {
        ...Object.fromEntries(own.map(([name, value]) => [name, secrets.read(value)])),
        ...JSON_HEADERS,
        ...(key === undefined
          ? {}
          : {
              "X-Orchd-Signature": `sha256=${createHmac("sha256", key).update(body).digest("hex")}`,
            }),
      },
      body,
    };
    return [post];
  },
};
