/** The words of the OpenSSH client, to the letter: what always holds, and what is asked for. */
import { expect, it } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { hostText, shellWord, sshWords } from "../../../src/places/ssh/ssh-words.ts";

const settings = (more: object = {}): SshPlaceSettings =>
  ({ host: "gpu1", ...more }) as SshPlaceSettings;
/** The options, and the words after them. */
function wordsOf(...given: Parameters<typeof sshWords>): [options: string[], rest: string[]] {
  const words = sshWords(...given);
  const end = words.findIndex((word, index) => index % 2 === 0 && word !== "-o");
  return [words.slice(0, end).filter((word) => word !== "-o"), words.slice(end)];
}

const ALWAYS = [
  "BatchMode=yes",
  "StrictHostKeyChecking=yes",
  "NoHostAuthenticationForLocalhost=no",
  "UpdateHostKeys=no",
  "ConnectTimeout=10",
  "ConnectionAttempts=1",
  "ServerAliveInterval=2",
  "ServerAliveCountMax=3",
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
const ALONE = ["ControlMaster=no", "ControlPath=none"];

it("always say the same of keys, patience and what is forwarded", () => {
  expect(wordsOf(settings(), undefined, "session", "true")).toEqual([
    [...ALWAYS, ...ALONE],
    ["--", "gpu1", "true"],
  ]);
});

it.each(["master", "session"] as const)("have one connection shared: %s", (role) => {
  const [options] = wordsOf(settings(), '/tmp/a "b"%\\s', role, "true");
  expect(options).toEqual([
    ...ALWAYS,
    `ControlMaster=${role === "master" ? "yes" : "no"}`,
    'ControlPath="/tmp/a \\"b\\"%%\\\\s"',
  ]);
});

it("name the user, the port, the key and the known hosts that a person gave", () => {
  const given = { user: "orchd", port: 2222, identity: "/k", knownHosts: "/h" };
  expect(wordsOf(settings(given), undefined, "master", "a b")).toEqual([
    [
      ...ALWAYS,
      ...ALONE,
      'UserKnownHostsFile="/h"',
      "GlobalKnownHostsFile=/dev/null",
      'IdentityFile="/k"',
      "IdentitiesOnly=yes",
    ],
    ["-l", "orchd", "-p", "2222", "--", "gpu1", "a b"],
  ]);
});

it.each([
  [{}, "gpu1"],
  [{ user: "orchd" }, "orchd@gpu1"],
  [{ port: 22 }, "gpu1:22"],
  [{ user: "orchd", port: 2222 }, "orchd@gpu1:2222"],
])("a host with %j is %s", (more, text) => {
  expect(hostText(settings(more))).toBe(text);
});

it.each([
  ["/a/b-1.2_c:d=e@f%+g", "/a/b-1.2_c:d=e@f%+g"],
  ["", "''"],
  ["a b", "'a b'"],
  ["$HOME", "'$HOME'"],
  ["~", "'~'"],
  ["it's", "'it'\\''s'"],
])("%j is the word %s for a shell", (word, text) => {
  expect(shellWord(word)).toBe(text);
});
