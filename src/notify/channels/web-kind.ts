/**
 * What a kind of channel says of itself when it sends by HTTP POST: how a message becomes requests,
 * and what an answer means where the status alone does not say it. web-channel.ts does the rest.
 */
import type { Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";
import type { ChannelHost } from "./channel-host.ts";

/** A request. */
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

/** A kind of channel that sends by HTTP POST. */
export interface WebKind<Settings> {
  /**
   * A message as requests, one after the other; all but PagerDuty's are one. The message is sent
   * when all are answered well, and all are sent again where one is not.
   *
   * @throws Error, a sentence, if a secret is missing or is not what it has to be
   */
  posts(
    settings: Settings,
    message: Message,
    secrets: ChannelSecrets,
    host: ChannelHost,
  ): readonly WebPost[];
  /**
   * What the answer means; undefined where its status tells all. `because` goes on behind the
   * receiver's name: `answered 200, but …`.
   */
  judge?(answer: WebAnswer): Sent | undefined;
}

/** The headers of a body that is JSON. */
export const JSON_HEADERS: Readonly<Record<string, string>> = {
  "Content-Type": "application/json; charset=utf-8",
};
