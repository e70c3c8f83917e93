/** The address of a receiver, as the settings have it. */
import type { ChannelSecrets, TextOrSecret } from "../secrets.ts";

/**
 * The address. Chat programs put the token into it, so it is masked from now on, with its parts,
 * however it was written.
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
  secrets.hide(text);
  return new URL(text);
}
