/**
 * Makes a channel of its settings. A kind's file, and what only it needs, is loaded with its first
 * message: whoever sends to ntfy loads no mail program.
 */
import { defined } from "../../core/defined.ts";
import { checkedDuration, formatDuration } from "../../core/duration.ts";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Channel, Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";
import type { ChannelHost } from "./channel-host.ts";
import { WebChannel, type WebSettings } from "./web-channel.ts";
import type { WebKind } from "./web-kind.ts";

/** How long one try may take where the settings say nothing, in milliseconds. */
const TIMEOUT_MS = 30_000;

/**
 * The channel of a name. It reads its secrets at each try: one that is missing fails that try, with
 * a sentence, and holds up no other channel.
 *
 * A try ends after `timeout` of the settings (30 s where they say nothing), whatever it waits for.
 */
export function makeChannel(
  name: string,
  settings: ChannelSettings,
  secrets: ChannelSecrets,
  host: ChannelHost,
): Channel {
  let loaded: Promise<Channel> | undefined;
  const timeoutMs = checkedDuration(settings.timeout) ?? TIMEOUT_MS;
  return {
    name,
    async send(message, signal): Promise<Sent> {
      const begin = host.clock.monotonic();
      const late = new AbortController();
      const timer = host.clock.after(timeoutMs, () => late.abort());
      try {
        loaded ??= load(name, settings, secrets, host);
        const channel = await loaded;
        const sent = await channel.send(
          maskedAlert(message, secrets),
          AbortSignal.any([signal, late.signal]),
        );
        if (sent.ok) return sent;
        // It is a clause of other sentences.
        const because = sent.because.replace(/(?<!\.)\.$/, "");
        const isLate = host.clock.monotonic() - begin >= timeoutMs;
        const after = isLate ? ` (${formatDuration(timeoutMs)})` : "";
        return { ...sent, because: `${because}${after}` };
      } catch (error) {
        // Its file is gone where a new release was put in the place of this one.
        loaded = undefined;
        const { message } = error as Error;
        return { ok: false, because: `cannot be loaded: restart orchd notify (${message})` };
      } finally {
        timer.cancel();
      }
    },
    close() {
      void loaded?.then((channel) => channel.close()).catch(() => undefined);
    },
  };
}

/**
 * The message with its alert's reasons masked, as its title and text are: programs get those as
 * ledgers have them, and a ledger's mask knows the secrets of steps alone.
 */
function maskedAlert(message: Message, secrets: ChannelSecrets): Message {
  const { because, others, ...rest } = message.alert;
  const masked = others?.map((one) => ({ ...one, because: secrets.mask(one.because) }));
  return {
    ...message,
    alert: { ...rest, because: secrets.mask(because), ...defined({ others: masked }) },
  };
}

async function load(
  name: string,
  settings: ChannelSettings,
  secrets: ChannelSecrets,
  host: ChannelHost,
): Promise<Channel> {
  const web = <Settings extends WebSettings>(kind: WebKind<Settings>, own: Settings): Channel =>
    new WebChannel(name, kind, own, secrets, host);
  switch (settings.kind) {
    case "mail":
      return new (await import("./mail.ts")).MailChannel(name, settings, secrets, host);
    case "webhook":
      return web((await import("./webhook.ts")).webhook, settings);
    case "slack":
      return web((await import("./slack.ts")).slack, settings);
    case "discord":
      return web((await import("./discord.ts")).discord, settings);
    case "teams":
      return web((await import("./teams.ts")).teams, settings);
    case "ntfy":
      return web((await import("./ntfy.ts")).ntfy, settings);
    case "gotify":
      return web((await import("./gotify.ts")).gotify, settings);
    case "telegram":
      return web((await import("./telegram.ts")).telegram, settings);
    case "pagerduty":
      return web((await import("./pagerduty.ts")).pagerduty, settings);
    case "command": {
      const { CommandChannel } = await import("./command.ts");
      return new CommandChannel(name, settings, secrets, host);
    }
  }
}
