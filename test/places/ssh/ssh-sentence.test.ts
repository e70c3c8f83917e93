/** What a person is told of what the OpenSSH client says as it fails. */
import { expect, it } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { lastLine, sshSentence } from "../../../src/places/ssh/ssh-sentence.ts";

const SETTINGS = { engine: "ssh", host: "gpu1.lan", user: "orchd" } as unknown as SshPlaceSettings;
const OWN = { ...SETTINGS, identity: "/k/id", knownHosts: "/k/hosts" };
const NOT_TRIED = "; a key that is not there, or has a passphrase and no agent, is not tried";
const changed =
  "@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@\nHost key verification failed.";

it.each<[string, SshPlaceSettings, string]>([
  [
    changed,
    SETTINGS,
    "orchd@gpu1.lan shows another host key than known_hosts of the daemon's user has: " +
      "find out why before you replace the line there",
  ],
  [
    changed,
    OWN,
    "orchd@gpu1.lan shows another host key than /k/hosts has: " +
      "find out why before you replace the line there",
  ],
  [
    "Host key verification failed.",
    SETTINGS,
    "the host key of orchd@gpu1.lan is not in known_hosts of the daemon's user: compare it with " +
      "the host's own (ssh-keyscan gpu1.lan | ssh-keygen -lf -) and add it there",
  ],
  [
    "No ED25519 host key is known for gpu1.lan",
    OWN,
    "the host key of orchd@gpu1.lan is not in /k/hosts: compare it with " +
      "the host's own (ssh-keyscan gpu1.lan | ssh-keygen -lf -) and add it there",
  ],
  [
    "Host key verification failed.",
    { ...SETTINGS, port: 2222 },
    "the host key of orchd@gpu1.lan:2222 is not in known_hosts of the daemon's user: compare it " +
      "with the host's own (ssh-keyscan -p 2222 gpu1.lan | ssh-keygen -lf -) and add it there",
  ],
  [
    "orchd@gpu1.lan: Permission denied (publickey,password).",
    SETTINGS,
    "orchd@gpu1.lan does not let the daemon's user in (publickey,password): add the public key " +
      "of the daemon's user to authorized_keys there, or correct user and identity" +
      NOT_TRIED,
  ],
  [
    "orchd@gpu1.lan: Permission denied (publickey).",
    OWN,
    "orchd@gpu1.lan does not let the daemon's user in (publickey): add the public key " +
      "of /k/id to authorized_keys there, or correct user and identity" +
      NOT_TRIED,
  ],
  [
    "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
    SETTINGS,
    "orchd@gpu1.lan was offered too many keys: name the one that counts as identity",
  ],
  [
    "ssh: connect to host gpu1.lan port 22: Connection refused",
    SETTINGS,
    "orchd@gpu1.lan cannot be reached: Connection refused",
  ],
  [
    "ssh: Could not resolve hostname gpu1.lan: Name or service not known",
    SETTINGS,
    "orchd@gpu1.lan cannot be reached: Name or service not known",
  ],
  [
    "Connection closed by 10.0.0.1 port 22",
    SETTINGS,
    "orchd@gpu1.lan cannot be reached: Connection closed by 10.0.0.1 port 22",
  ],
  ["odd\nlast words.\n\n", SETTINGS, "orchd@gpu1.lan cannot be used: last words"],
  ["", SETTINGS, "orchd@gpu1.lan cannot be reached"],
])("of %j", (said, settings, sentence) => {
  expect(sshSentence(settings, said)).toBe(sentence);
});

it("a last line is short, and acts on no terminal", () => {
  expect(lastLine(`a\n${"x".repeat(500)}`)).toHaveLength(300);
  expect(lastLine("a\n\u001b[2Jb")).not.toContain("\u001b");
  expect(lastLine(" \n")).toBeUndefined();
});
