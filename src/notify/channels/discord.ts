/**
 * Discord, by a webhook: one embed. Its text is a block of code, in which nothing is a format, and
 * nobody can be mentioned (`allowed_mentions`).
 *
 * Limits, in characters: a title of 256, a description of 4,096, 6,000 in all.
 */
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Message } from "../channel.ts";
import { addressOf } from "./address.ts";
import { belowTitle, clipped, unmentioned, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebAnswer, type WebKind } from "./web-kind.ts";

type DiscordSettings = Extract<ChannelSettings, { kind: "discord" }>;

const TITLE = 256;
const DESCRIPTION = 4_096;
/** A link that is longer is left out: the text has the command that says as much. */
const LINK = 1_000;
const FENCE = "```";
/** Red for what is wrong, green for what is over. */
const COLOURS = { wrong: 0xb8_32_0a, over: 0x0a_8f_6c };

/** Posts to a webhook. */
export const discord: WebKind<DiscordSettings> = {
  posts(settings, message, secrets) {
    const url = versioned(addressOf(settings.url, secrets));
    // Without it Discord answers before it has tried to keep the message.
    url.searchParams.set("wait", "true");
    return [{ url, headers: JSON_HEADERS, body: wellFormedJson(discordBody(message)) }];
  },
  judge({ status, body }: WebAnswer) {
    if (status !== 429) return undefined;
    const seconds = (parsed(body) as { retry_after?: unknown } | undefined)?.retry_after;
    if (typeof seconds !== "number" || !Number.isFinite(seconds)) return undefined;
    const retryAfterMs = Math.ceil(Math.max(0, seconds) * 1_000);
    return { ok: false, because: "answered 429 Too Many Requests", retryAfterMs };
  },
};

/** Webhooks without a version are of the oldest one, whose waits are milliseconds. */
function versioned(url: URL): URL {
  if (/(^|\.)discord(app)?\.com$/.test(url.hostname))
    url.pathname = url.pathname.replace(/^\/api\/webhooks\//, "/api/v10/webhooks/");
  return url;
}

function discordBody(message: Message): unknown {
  const { alert, title, url } = message;
  // As a link of the embed, an address that Discord does not like would cost the whole message.
  const foot = url === undefined || url.length > LINK ? "" : `\n<${url.replaceAll(">", "%3E")}>`;
  const room = DESCRIPTION - 2 * (FENCE.length + 1) - foot.length;
  const code = clipped(unmentioned(belowTitle(message)).replaceAll("`", "`\u200B"), room);
  return {
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: clippedEscape(unmentioned(title)),
        description: `${FENCE}\n${code}\n${FENCE}${foot}`,
        color: alert.kind === "recovered" ? COLOURS.over : COLOURS.wrong,
        timestamp: alert.at,
      },
    ],
  };
}

/** A title has no block of code: each character that may begin a format is escaped. */
function clippedEscape(title: string): string {
  const escaped = title.replaceAll(/[\\*_~`|<>[\]()#:@-]/g, String.raw`\$&`);
  return clipped(escaped, TITLE);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
