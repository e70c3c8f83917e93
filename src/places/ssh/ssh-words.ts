/**
 * The words of the OpenSSH client's command line. Its own config files count too: a host may be an
 * alias of `~/.ssh/config`, and be reached through another host. What must hold in any case stands
 * on the command line, which has the last word.
 */
import type { SshPlaceSettings } from "../../core/place-settings.ts";

/** How long a connection may take to be made, in seconds. */
export const CONNECT_S = 10;
/** How often the client asks whether the host is there, in seconds, and how often in vain. */
const ALIVE_S = 2;
const ALIVE_COUNT = 3;

/** What always holds. Host keys are always checked, and nobody is ever asked. */
const ALWAYS = [
  "BatchMode=yes",
  "StrictHostKeyChecking=yes",
  "NoHostAuthenticationForLocalhost=no",
  "UpdateHostKeys=no",
  `ConnectTimeout=${CONNECT_S}`,
  "ConnectionAttempts=1",
  `ServerAliveInterval=${ALIVE_S}`,
  `ServerAliveCountMax=${ALIVE_COUNT}`,
  "ControlPersist=no",
  "ClearAllForwardings=yes",
  "ForwardAgent=no",
  "ForwardX11=no",
  "PermitLocalCommand=no",
  "RemoteCommand=none",
  "RequestTTY=no",
  "EscapeChar=none",
  "LogLevel=ERROR",
];

/**
 * The words of a command, without the program's name.
 *
 * @param control the path of the shared connection's socket; undefined: a connection of its own
 * @param role `master`: it makes the shared connection; `session`: it uses it
 * @param command for the shell there
 */
export function sshWords(
  settings: SshPlaceSettings,
  control: string | undefined,
  role: "master" | "session",
  command: string,
): string[] {
  const { host, user, port, identity, knownHosts } = settings;
  const options = [
    ...ALWAYS,
    ...(control === undefined
      ? ["ControlMaster=no", "ControlPath=none"]
      : [`ControlMaster=${role === "master" ? "yes" : "no"}`, `ControlPath=${quoted(control)}`]),
    ...(knownHosts === undefined
      ? []
      : [`UserKnownHostsFile=${quoted(knownHosts)}`, "GlobalKnownHostsFile=/dev/null"]),
    ...(identity === undefined ? [] : [`IdentityFile=${quoted(identity)}`, "IdentitiesOnly=yes"]),
  ];
  return [
    ...options.flatMap((option) => ["-o", option]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    "--",
    host,
    command,
  ];
}

/** The place's host as a person names it: `orchd@gpu1.lan:2222`. */
export function hostText({ host, user, port }: SshPlaceSettings): string {
  return `${user === undefined ? "" : `${user}@`}${host}${port === undefined ? "" : `:${port}`}`;
}

/** A path as an option's value: ssh reads quotes in it, and `%` as the begin of a token. */
function quoted(path: string): string {
  return `"${path.replaceAll("%", "%%").replaceAll(/["\\]/g, "\\$&")}"`;
}

/** A word for the shell there, whichever it is. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
