/** Gotify: a message of an application, as plain text. The server sets no limits of its own. */
import type { ChannelSettings } from "../../core/notify-settings.ts";
import { addressOf } from "./address.ts";
import { belowTitle, wellFormedJson } from "./plain-text.ts";
import { JSON_HEADERS, type WebKind } from "./web-kind.ts";

type GotifySettings = Extract<ChannelSettings, { kind: "gotify" }>;

/** Posts as an application. */
export const gotify: WebKind<GotifySettings> = {
  posts(settings, message, secrets) {
    const { title, url: page } = message;
    const url = addressOf(settings.url, secrets);
    // The server may be below a path of its own.
    url.pathname = url.pathname.replace(/(?:\/message)?\/*$/, "/message");
    const body = {
      title: title,
      message: belowTitle(message),
      ...(settings.priority === undefined ? {} : { priority: settings.priority }),
      extras: {
        "client::display": { contentType: "text/plain" },
        ...(page === undefined ? {} : { "client::notification": { click: { url: page } } }),
      },
    };
    const headers = { ...JSON_HEADERS, "X-Gotify-Key": secrets.read(settings.token) };
    return [{ url, headers, body: wellFormedJson(body) }];
  },
};
