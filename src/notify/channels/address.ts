/** The address of a receiver, as the settings have it. */
import type { ChannelSecrets, TextOrSecret } from "../secrets.ts";

/** A longer path may hold a token. */
const NO_TOKEN = 20;

/**
 * The address. Chat programs put the token into it, so one with a long path or a password is masked
 * from now on, with its parts, also if it is no secret of the settings.
 *
 * @throws Error, a sentence, if it is no address for HTTP, or if the secret is not there
 */
export function addressOf(setting: TextOrSecret, secrets: ChannelSecrets): URL {
  const text = secrets.read(setting).trim();
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new Error(
      typeof setting === "string"
        ? "its url is no http or https address"
        : `the secret ${setting.secret} is no http or https address`,
    );
  const url = new URL(text);
  if (url.password !== "" || `${url.pathname}${url.search}`.length > NO_TOKEN) secrets.hide(text);
  return url;
}
