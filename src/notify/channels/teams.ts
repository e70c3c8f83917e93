/**
 * Microsoft Teams, by a workflow's webhook: an adaptive card. Its lines are text runs, in which
 * Markdown is not read; a mention needs an entity beside the text, and there is none.
 *
 * Limit: a message of about 28 KB, of which Teams counts more than the bytes that were sent. So the
 * card is kept below 20,000 bytes: lines from the end are left out.
 */
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Message } from "../channel.ts";
import { addressOf } from "./address.ts";
import { belowTitle, clipped, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebAnswer, type WebKind } from "./web-kind.ts";

type TeamsSettings = Extract<ChannelSettings, { kind: "teams" }>;

/** The most bytes of the card's lines, as JSON. */
const LINES = 18_000;
/** The longest line, in characters. */
const LINE = 2_000;
/** A link that is longer is left out: the text has the command that says as much. */
const LINK = 1_000;

/** Posts to a workflow. */
export const teams: WebKind<TeamsSettings> = {
  posts(settings, message, secrets) {
    const body = wellFormedJson(teamsBody(message));
    return [{ url: addressOf(settings.url, secrets), headers: JSON_HEADERS, body }];
  },
  /** A connector of the older kind says 200, and that it failed. */
  judge({ status, body }: WebAnswer) {
    const failed = /delivery failed|returned HTTP error/i.test(body);
    if (status < 200 || status > 299 || !failed) return undefined;
    return { ok: false, because: `answered ${status}, but did not deliver: ${body}` };
  },
};

function teamsBody(message: Message): unknown {
  const { title, url } = message;
  return {
    type: "message",
    attachments: [
      {
        contentType: "application/vnd.microsoft.card.adaptive",
        contentUrl: null,
        content: {
          $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
          type: "AdaptiveCard",
          version: "1.4",
          msteams: { width: "Full" },
          body: [
            line(title, { weight: "Bolder", size: "Medium" }, "Default"),
            ...linesOf(belowTitle(message)),
          ],
          ...(url === undefined || url.length > LINK
            ? {}
            : { actions: [{ type: "Action.OpenUrl", title: "Open in orchd", url }] }),
        },
      },
    ],
  };
}

/** A block a line: a line feed within a run is not shown everywhere. */
function linesOf(text: string): unknown[] {
  const found: unknown[] = [];
  let bytes = 0;
  let isFirst = true;
  for (const words of text.split("\n")) {
    if (words.trim() === "") {
      isFirst = true;
      continue;
    }
    const block = line(clipped(words, LINE), { fontType: "Monospace" }, isFirst ? "Small" : "None");
    bytes += Buffer.byteLength(JSON.stringify(block));
    if (bytes > LINES) return [...found, line("…", {}, "None")];
    found.push(block);
    isFirst = false;
  }
  return found;
}

const line = (words: string, style: object, spacing: string): unknown => ({
  type: "RichTextBlock",
  spacing,
  inlines: [{ type: "TextRun", text: words, ...style }],
});
