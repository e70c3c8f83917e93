/**
 * ntfy: the text is the body, all else is headers. A title that is not ASCII is encoded as mail
 * does it (RFC 2047), which ntfy reads since 2.4.
 *
 * Limit: 4,096 bytes of text. A longer one would be turned into an attachment, or refused.
 */
import type { ChannelSettings } from "../../core/notify-settings.ts";
import { addressOf } from "./address.ts";
import { belowTitle, clippedBytes, oneLine } from "./plain-text.ts";
import type { WebKind } from "./web-kind.ts";

type NtfySettings = Extract<ChannelSettings, { kind: "ntfy" }>;

const BODY = 4_096;
const TITLE = 200;
/** The longest encoded word: RFC 2047 allows 75 characters, 12 of which frame it. */
const WORD_BYTES = 45;

/** Publishes to a topic. */
export const ntfy: WebKind<NtfySettings> = {
  posts(settings, message, secrets) {
    const { alert, title, url } = message;
    const page = url === undefined ? undefined : headerUrl(url);
    const tags = [alert.kind === "recovered" ? "white_check_mark" : "rotating_light"];
    return [
      {
        url: addressOf(settings.url, secrets),
        headers: {
          "Content-Type": "text/plain; charset=utf-8",
          Title: headerText(oneLine(title, TITLE)),
          Tags: [...tags, alert.kind].join(","),
          ...(settings.priority === undefined ? {} : { Priority: String(settings.priority) }),
          ...(page === undefined ? {} : { Click: page, Actions: `view, Open in orchd, ${page}` }),
          ...(settings.token === undefined
            ? {}
            : { Authorization: `Bearer ${secrets.read(settings.token)}` }),
        },
        body: clippedBytes(belowTitle(message), BODY),
      },
    ];
  },
};

/** A header's value: ASCII as it is, all else as encoded words of whole characters. */
function headerText(text: string): string {
  if (/^[\x20-\x7E]*$/.test(text) && !text.includes("=?")) return text;
  const words: string[] = [];
  let word = "";
  for (const character of text) {
    if (Buffer.byteLength(word + character) > WORD_BYTES) {
      words.push(word);
      word = "";
    }
    word += character;
  }
  return [...words, word]
    .map((one) => `=?UTF-8?B?${Buffer.from(one).toString("base64")}?=`)
    .join(" ");
}

/** An address within `Actions`, whose fields end at commas and semicolons; undefined if none. */
function headerUrl(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const codes: Readonly<Record<string, string>> = {
    ",": "%2C",
    ";": "%3B",
    "'": "%27",
    '"': "%22",
  };
  return new URL(url).href.replaceAll(/[,;'"]/g, (sign) => codes[sign]!);
}
