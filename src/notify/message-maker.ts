/** Makes the message of an alert from the settings in force, with the end of its run's log. */
import type { Alert } from "../core/alert.ts";
import type { NotifySettings } from "../core/notify-settings.ts";
import type { PrintedLine } from "../views/log-end.ts";
import type { Message } from "./channel.ts";
import { LOG_LINES, messageOf } from "./message-text.ts";
import type { ChannelSecrets } from "./secrets.ts";

/** What {@link makeMessage} needs. */
export interface MessageWorld {
  readonly settings: NotifySettings;
  readonly secrets: ChannelSecrets;
  /** The last lines that a run's steps printed. */
  readonly logEnd: (run: string, most: number) => Promise<PrintedLine[]>;
}

/** The message of an alert. @param test whether it is sent to try the channel */
export async function makeMessage(
  alert: Alert,
  { settings, secrets, logEnd }: MessageWorld,
  test = false,
): Promise<Message> {
  const { run, kind } = alert;
  // A log that cannot be read must not keep the message back.
  const log =
    run !== undefined && (kind === "failed" || kind === "overdue")
      ? await logEnd(run, LOG_LINES).catch(() => [])
      : undefined;
  return messageOf(alert, {
    log,
    page: settings.url,
    template: settings.channels[alert.channel]?.template,
    mask: (text) => secrets.mask(text),
    test,
  });
}
