/**
 * Slack, by an incoming webhook; Mattermost and Rocket.Chat take the same.
 *
 * The blocks are what Slack shows: they are `plain_text`, in which nothing is a format or a
 * mention. `text` is for notifications and for programs that know no blocks, so it says all again:
 * `&`, `<` and `>` are escaped as Slack asks, which leaves no mention and no link.
 *
 * Limits: a header of 150 characters, a block of 3,000, a text of 40,000.
 */
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Message } from "../channel.ts";
import { addressOf } from "./address.ts";
import { belowTitle, clipped, pieces, unmentioned, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebKind } from "./web-kind.ts";

type SlackSettings = Extract<ChannelSettings, { kind: "slack" }>;

const HEADER = 150;
const BLOCK = 3_000;
/** The most blocks of text: 12,000 characters are more than anybody reads in a chat. */
const BLOCKS = 4;
/** Of the unescaped text; an escaped one is at most five times as long. */
const TEXT = 7_000;

/** Posts to an incoming webhook. */
export const slack: WebKind<SlackSettings> = {
  posts(settings, message, secrets) {
    const body = wellFormedJson(slackBody(message));
    return [{ url: addressOf(settings.url, secrets), headers: JSON_HEADERS, body }];
  },
};

function slackBody(message: Message): unknown {
  const { title, url } = message;
  const text = belowTitle(message);
  const plain = (type: string, words: string): unknown => ({
    type,
    text: { type: "plain_text", text: words, emoji: false },
  });
  return {
    text: escaped(unmentioned(`${title}\n${clipped(text, TEXT)}`)),
    mrkdwn: false,
    link_names: false,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      plain("header", clipped(unmentioned(title), HEADER)),
      ...pieces(unmentioned(text), BLOCK, BLOCKS)
        .filter((piece) => piece.trim() !== "")
        .map((piece) => plain("section", piece)),
      ...(url === undefined
        ? []
        : [
            {
              type: "context",
              elements: [{ type: "mrkdwn", text: `<${link(url)}|Open in orchd>` }],
            },
          ]),
    ],
  };
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const link = (url: string): string =>
  escaped(url.replaceAll("|", "%7C").replaceAll(">", "%3E").replaceAll("<", "%3C"));
