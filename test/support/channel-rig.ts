/** What tests of channels share: a message, secrets, a machine. */
import { systemClock } from "../../src/clock.ts";
import type { Alert } from "../../src/core/alert.ts";
import type { ChannelSettings } from "../../src/core/notify-settings.ts";
import type { Channel, Message, Sent } from "../../src/notify/channel.ts";
import type { ChannelHost } from "../../src/notify/channels/channel-host.ts";
import { makeChannel } from "../../src/notify/channels/channel-list.ts";
import { ChannelSecrets } from "../../src/notify/secrets.ts";

/** An alert of a run that failed. */
export const ALERT: Alert = {
  key: "0123456789abcdef0123456789abcdef",
  kind: "failed",
  channel: "ops",
  pipeline: "backup",
  run: "backup@20261128T040500Z",
  status: "failed",
  because: "step dump: exit status 1",
  at: "2026-11-28T04:05:09.000Z",
  cause: "backup/pipeline.jsonl:7",
  count: 2,
  telling: 1,
};

/** A message about {@link ALERT}. */
export const message = (alert: Partial<Alert> = {}, rest: Partial<Message> = {}): Message => ({
  alert: { ...ALERT, ...alert },
  title: "backup failed: step dump: exit status 1",
  text: "backup failed.\nbecause: step dump: exit status 1\n\norchd status backup",
  url: "https://orchd.example/#/runs/backup@20261128T040500Z",
  ...rest,
});

/** Secrets that are there. */
const secretsOf = (values: Readonly<Record<string, string>>): ChannelSecrets =>
  new ChannelSecrets({
    get(name) {
      const value = values[name];
      if (value === undefined) throw new Error(`The secret ${name} is not there.`);
      return value;
    },
  });

/** The machine that tests run on, without its proxies. */
const testHost = (rest: Partial<ChannelHost> = {}): ChannelHost => ({
  clock: systemClock,
  env: { PATH: process.env["PATH"] },
  root: "/",
  machine: "test.example",
  ...rest,
});

/** A channel called ops. */
export const channelOf = (
  settings: ChannelSettings,
  secrets: Readonly<Record<string, string>> = {},
  host: Partial<ChannelHost> = {},
): Channel => makeChannel("ops", settings, secretsOf(secrets), testHost(host));

/** Sends {@link message} once. */
export const send = (
  channel: Channel,
  one: Message = message(),
  signal: AbortSignal = new AbortController().signal,
): Promise<Sent> => channel.send(one, signal);

/** Why it was not sent. */
export function becauseOf(sent: Sent): string {
  if (sent.ok) throw new Error("it was sent");
  return sent.because;
}
