/** What the OpenSSH client says as it fails, as a sentence that says what to do. */
import type { SshPlaceSettings } from "../../core/place-settings.ts";
import { safeText } from "../../core/safe-text.ts";
import { hostText } from "./ssh-words.ts";

/** The most characters that are kept of what the client, or the host, said. */
const MOST = 300;

/**
 * Why a host cannot be used.
 *
 * @param said what the client printed on stderr
 */
export function sshSentence(settings: SshPlaceSettings, said: string): string {
  const { host, port, identity, knownHosts } = settings;
  const name = hostText(settings);
  const trusted = knownHosts ?? "known_hosts of the daemon's user";
  if (said.includes("REMOTE HOST IDENTIFICATION HAS CHANGED"))
    return (
      `${name} shows another host key than ${trusted} has: find out why before you replace the ` +
      "line there"
    );
  if (said.includes("Host key verification failed") || said.includes("host key is known"))
    return (
      `the host key of ${name} is not in ${trusted}: compare it with the host's own ` +
      `(ssh-keyscan ${port === undefined ? "" : `-p ${port} `}${host} | ssh-keygen -lf -) ` +
      "and add it there"
    );
  const denied = /Permission denied \(([^)]*)\)/.exec(said);
  if (denied !== null)
    return (
      `${name} does not let the daemon's user in (${denied[1]}): add the public key of ` +
      `${identity ?? "the daemon's user"} to authorized_keys there, or correct user and identity` +
      "; a key that is not there, or has a passphrase and no agent, is not tried"
    );
  if (said.includes("Too many authentication failures"))
    return `${name} was offered too many keys: name the one that counts as identity`;
  const unreached =
    /(?:connect to host .*? port \d+: |Could not resolve hostname .*?: )(.*)/.exec(said) ??
    /(Connection (?:timed out|closed|reset).*)/.exec(said);
  if (unreached !== null) return `${name} cannot be reached: ${clean(unreached[1]!)}`;
  const last = lastLine(said);
  return last === undefined ? `${name} cannot be reached` : `${name} cannot be used: ${last}`;
}

/** The last line that is not empty, short. */
export function lastLine(text: string): string | undefined {
  const last = text.split("\n").findLast((line) => line.trim() !== "");
  return last === undefined ? undefined : clean(last);
}

function clean(text: string): string {
  return safeText(text.trim().replace(/\.$/, "").slice(0, MOST));
}
