/**
 * Telegram, by a bot. There is no `parse_mode`, so nothing in the text is a format. The text is
 * marked as preformatted, in which the server looks for no mentions, commands and links.
 *
 * Limit: 4,096 characters, of UTF-16 as its entities count them.
 */
import { defined } from "../../core/defined.ts";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Message, Sent } from "../channel.ts";
import { addressOf } from "./address.ts";
import { belowTitle, clipped, oneLine, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebAnswer, type WebKind } from "./web-kind.ts";

type TelegramSettings = Extract<ChannelSettings, { kind: "telegram" }>;

const TEXT = 4_096;
const TITLE = 256;
/** A link that is longer is left out: the text has the command that says as much. */
const LINK = 1_000;

/** Sends as a bot. */
export const telegram: WebKind<TelegramSettings> = {
  posts(settings, message, secrets) {
    const url = addressOf(settings.url ?? "https://api.telegram.org", secrets);
    const token = encodeURIComponent(secrets.read(settings.token).trim()).replaceAll("%3A", ":");
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/bot${token}/sendMessage`;
    const body = wellFormedJson({ chat_id: settings.chat, ...telegramText(message) });
    return [{ url, headers: JSON_HEADERS, body }];
  },
  judge({ status, body }: WebAnswer): Sent | undefined {
    const said = answerOf(body);
    if (said?.ok === true && status < 300) return { ok: true, answer: idOf(said) };
    if (said?.ok !== false) return undefined;
    const { retry_after: seconds, migrate_to_chat_id: chat } = said.parameters ?? {};
    const moved = chat === undefined ? "" : `: the chat is ${chat} now, write that into orchd.yaml`;
    return {
      ok: false,
      because: `answered ${status} ${said.description ?? ""}${moved}`,
      ...defined({ retryAfterMs: typeof seconds === "number" ? seconds * 1_000 : undefined }),
    };
  },
};

/** What the Bot API answers, as far as it is read. */
interface Answer {
  readonly ok?: boolean;
  readonly description?: string;
  readonly parameters?: { readonly retry_after?: number; readonly migrate_to_chat_id?: number };
  readonly result?: { readonly message_id?: number };
}

function answerOf(body: string): Answer | undefined {
  try {
    const value = JSON.parse(body) as Answer | null;
    return value !== null && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}

const idOf = ({ result }: Answer): string => `message ${result?.message_id ?? "taken"}`;

/** The title in bold, the text as it is, and the page's link. */
function telegramText(message: Message): object {
  const { title, url } = message;
  // Blanks at an end would be cut, and the entities would stand beside their text.
  const head = oneLine(title, TITLE).replaceAll(/([@/#])(?=\w)/g, "$1\u200B");
  const foot = url === undefined || url.length > LINK ? "" : `\n\n${url}`;
  const room = TEXT - head.length - "\n\n".length - foot.length;
  const words = clipped(belowTitle(message).trim(), room);
  const begin = head.length + "\n\n".length;
  return {
    text: `${head}\n\n${words}${foot}`,
    entities: [
      ...(head === "" ? [] : [{ type: "bold", offset: 0, length: head.length }]),
      ...(words === "" ? [] : [{ type: "pre", offset: begin, length: words.length }]),
    ],
    link_preview_options: { is_disabled: true },
  };
}
