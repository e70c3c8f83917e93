/**
 * What a kind of channel says of itself when it sends by one HTTP POST: how the request is made,
 * and what an answer means where the status alone does not say it. web-channel.ts does the rest.
 */
import type { Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";

/** A message as a request. */
export interface WebPost {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer, its body at most 64 KiB. */
export interface WebAnswer {
  readonly status: number;
  readonly body: string;
}

/** A kind of channel that sends by one HTTP POST. */
export interface WebKind<Settings> {
  /** @throws Error, a sentence, if a secret is missing or is not what it has to be */
  post(settings: Settings, message: Message, secrets: ChannelSecrets): WebPost;
  /** What the answer means; undefined where its status tells all. */
  judge?(answer: WebAnswer): Sent | undefined;
}

/** The headers of a body that is JSON. */
export const JSON_HEADERS: Readonly<Record<string, string>> = {
  "Content-Type": "application/json; charset=utf-8",
};
