/**
 * A channel of a kind that sends by HTTP POST. Each request has the alert's key as
 * `Idempotency-Key`, which a receiver that does not know it leaves alone.
 *
 * A status from 200 to 299 is a message sent. No other is final, 404 and 401 included: an address
 * or a token that is mended within the day carries what waits, and some thirty tries cost nobody
 * anything.
 */
import { defined } from "../../core/defined.ts";
import { withoutControls } from "../../core/failure.ts";
import { VERSION } from "../../version.ts";
import type { Channel, Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";
import { readCaFile } from "./ca-file.ts";
import type { ChannelHost } from "./channel-host.ts";
import { callHttp, statusText, type HttpOutcome } from "./http.ts";
import { oneLine } from "./plain-text.ts";
import { hostOf } from "./proxy.ts";
import type { WebKind } from "./web-kind.ts";

/** What a person can do about a status, where that is not plain. */
const ADVICE: Readonly<Record<number, string>> = {
  401: "its token or its address is wrong, or was taken back",
  403: "its token or its address is wrong, or may not write there",
  404: "it has no such address: write the present one into orchd.yaml",
  407: "the proxy wants a user and a password: http://USER:PASSWORD@HOST:PORT",
  410: "it has that address no more: write the present one into orchd.yaml",
  413: "the message is longer than it takes",
};

/** The most of a sentence that is recorded, in characters: a receiver may say a lot. */
const SAID = 300;

/** What all kinds that post may have in their settings. */
export interface WebSettings {
  readonly ca?: string | undefined;
}

/** A channel that posts. */
export class WebChannel<Settings extends WebSettings> implements Channel {
  readonly name: string;
  readonly #kind: WebKind<Settings>;
  readonly #settings: Settings;
  readonly #secrets: ChannelSecrets;
  readonly #host: ChannelHost;

  constructor(
    name: string,
    kind: WebKind<Settings>,
    settings: Settings,
    secrets: ChannelSecrets,
    host: ChannelHost,
  ) {
    this.name = name;
    this.#kind = kind;
    this.#settings = settings;
    this.#secrets = secrets;
    this.#host = host;
  }

  async send(message: Message, signal: AbortSignal): Promise<Sent> {
    try {
      const posts = this.#kind.posts(this.#settings, message, this.#secrets, this.#host);
      const ca = readCaFile(this.#settings.ca, this.#host.root);
      let sent: Sent = { ok: true };
      for (const { url, headers, body } of posts) {
        const own = { "User-Agent": `orchd/${VERSION}`, "Idempotency-Key": message.alert.key };
        const outcome = await callHttp(
          { method: "POST", url, headers: { ...own, ...headers }, body, ...defined({ ca }) },
          this.#host,
          signal,
        );
        sent = this.#judge(outcome, hostOf(url));
        if (!sent.ok) return sent;
      }
      return sent;
    } catch (error) {
      return { ok: false, because: this.#speakable((error as Error).message) };
    }
  }

  close(): void {
    // Each connection ends with its request.
  }

  #judge(outcome: HttpOutcome, host: string): Sent {
    if (!outcome.answered) return { ok: false, because: this.#speakable(outcome.because) };
    const { status, body, retryAfterMs } = outcome;
    const said = this.#kind.judge?.({ status, body });
    if (said !== undefined) return this.#spoken(said, host, retryAfterMs);
    if (status >= 200 && status < 300) return { ok: true, answer: statusText(status) };
    const advice =
      status >= 300 && status < 400
        ? "a redirect is not followed: write the address that it leads to into orchd.yaml"
        : ADVICE[status];
    const words = /html/i.test(outcome.contentType) ? "" : body.trim();
    return {
      ok: false,
      because: this.#speakable(
        `${host} answered ${statusText(status)}` +
          (advice === undefined ? "" : `: ${advice}`) +
          (words === "" ? "" : ` (${words})`),
      ),
      ...defined({ retryAfterMs }),
    };
  }

  /** What a kind read out of an answer, as it may be recorded. */
  #spoken(said: Sent, host: string, retryAfterMs: number | undefined): Sent {
    if (said.ok)
      return said.answer === undefined ? said : { ok: true, answer: this.#speakable(said.answer) };
    return {
      ...defined({ retryAfterMs }),
      ...said,
      because: this.#speakable(`${host} ${said.because}`),
    };
  }

  #speakable(text: string): string {
    return oneLine(this.#secrets.mask(withoutControls(text)), SAID);
  }
}
