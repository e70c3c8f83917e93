import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { farPackage, type FarPackage } from "../../../src/places/ssh/far-package.ts";
import { WIRE_PROTOCOL } from "../../../src/places/pool/wire.ts";
import { prepareOnce, type Prepared } from "../../../src/places/ssh/prepare.ts";
import { FarHost, makeKey, readyNamespaces, SKIP_NAMESPACES } from "../../support/sshd.ts";
import { tempRoot } from "../../support/temp-root.ts";

const prepare = (settings: SshPlaceSettings, given?: FarPackage): Promise<Prepared> =>
  prepareOnce(systemClock, settings, WIRE_PROTOCOL, given);

const because = async (settings: SshPlaceSettings, given?: FarPackage): Promise<string> => {
  const prepared = await prepare(settings, given);
  return prepared.ok ? `it is prepared: ${prepared.did}` : prepared.because;
};

/** A program in the place of a Node. */
function script(text: string): string {
  const path = join(tempRoot().root, "node");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** The package with other bytes in one of its files. */
function changed(ending: string, text: string, sha256?: string): FarPackage {
  const bytes = Buffer.from(text);
  const hash = sha256 ?? createHash("sha256").update(bytes).digest("hex");
  const { files, version } = farPackage();
  return {
    id: `${version}-changed`,
    version,
    files: files.map((file) =>
      file.path.endsWith(ending) ? { path: file.path, bytes, sha256: hash } : file,
    ),
  };
}

describe.skipIf(SKIP_NAMESPACES)("a machine that is prepared", () => {
  beforeAll(readyNamespaces);

  it("gets the package once, whole, and says what it is", async () => {
    const far = await FarHost.start();
    const { id, version } = farPackage();
    expect(await prepare(far.settings())).toEqual({
      ok: true,
      machine: {
        node: process.versions.node,
        platform: `linux/${process.arch}`,
        folder: far.folder,
        state: "missing",
      },
      id,
      version,
      protocol: WIRE_PROTOCOL,
      did: "copied",
      removed: [],
    });
    const runner = join(far.folder, id, "node_modules/orchd/dist/daemon/runner.js");
    const before = statSync(runner).ino;
    const old = [1, 2, 3].map((number) => `0.0.${number}-${"0".repeat(16)}`);
    for (const [days, name] of old.entries()) {
      const at = Date.now() / 1_000 - (days + 2) * 86_400;
      mkdirSync(join(far.folder, name));
      utimesSync(join(far.folder, name), at, at);
    }
    const again = await prepare(far.settings());
    expect(again).toMatchObject({ ok: true, did: "there", removed: [old[2]] });
    for (const name of old) rmSync(join(far.folder, name), { recursive: true, force: true });
    expect(statSync(runner).ino).toBe(before);
    expect(readdirSync(far.folder)).toEqual([id]);
    expect(far.processes()).toEqual([]);
  });

  it("gets it again where its files were changed", async () => {
    const far = await FarHost.start();
    await prepare(far.settings());
    const { id } = farPackage();
    writeFileSync(join(far.folder, id, "node_modules/orchd/dist/daemon/runner.js"), "// cut");
    expect(await prepare(far.settings())).toMatchObject({ ok: true, did: "replaced" });
    expect(await prepare(far.settings())).toMatchObject({ ok: true, did: "there" });
    expect(readdirSync(far.folder)).toEqual([id]);
  });

  it("may greet before it answers", async () => {
    const far = await FarHost.start({
      config: [`ForceCommand echo Welcome; eval "$SSH_ORIGINAL_COMMAND"`],
    });
    expect(await prepare(far.settings())).toMatchObject({ ok: true, did: "copied" });
  });

  it("loads what a step imports of orchd from the package", async () => {
    const far = await FarHost.start();
    const prepared = await prepare(far.settings());
    if (!prepared.ok) throw new Error(prepared.because);
    const bundles = join(far.folder, prepared.id, "bundles");
    mkdirSync(bundles);
    writeFileSync(
      join(bundles, "it.mjs"),
      'import { step } from "orchd"; console.log(typeof step, import.meta.resolve("zod"));',
    );
    expect(far.run(`${process.execPath} ${join(bundles, "it.mjs")}`)).toMatch(
      /^function file:.*\/orchd\/[^/]+\/node_modules\/zod\/index.js\n$/,
    );
  });
});

describe.skipIf(SKIP_NAMESPACES)("a machine that cannot be prepared says why", () => {
  it("where its host key is not known", async () => {
    const far = await FarHost.start();
    writeFileSync(join(far.keys, "known_hosts"), "");
    expect(await because(far.settings())).toMatch(
      /^the host key of .* is not in .*known_hosts: compare it .*ssh-keyscan .* and add it there$/,
    );
  });

  it("where its host key is another one than before", async () => {
    const far = await FarHost.start();
    const other = join(tempRoot().root, "other");
    makeKey(other);
    const line = far.run(`cat ${other}.pub`).split(" ").slice(0, 2).join(" ");
    writeFileSync(join(far.keys, "known_hosts"), `${far.host} ${line}\n`);
    expect(await because(far.settings())).toMatch(/shows another host key than .* find out why/);
  });

  it("where it does not let the user in", async () => {
    const far = await FarHost.start();
    expect(await because(far.settings({ user: "nobody-of-that-name" }))).toMatch(
      /^nobody-of-that-name@.* does not let the daemon's user in \(publickey\): add the public key/,
    );
    makeKey(join(far.keys, "stranger"));
    expect(await because(far.settings({ identity: join(far.keys, "stranger") }))).toMatch(
      /does not let the daemon's user in/,
    );
  });

  it("where it cannot be reached", async () => {
    const far = await FarHost.start();
    expect(await because(far.settings({ port: 1 }))).toMatch(
      /cannot be reached: Connection refused$/,
    );
    expect(await because(far.settings({ host: "no-such-host.invalid" }))).toMatch(
      /no-such-host.invalid cannot be reached: /,
    );
    far.cut();
    expect(await because(far.settings())).toMatch(
      /cannot be reached: (?:Connection timed out|No route to host)/,
    );
  });

  it("where its Node is missing, too old, or for another system", async () => {
    const far = await FarHost.start();
    expect(await because(far.settings({ node: "/nowhere/node" }))).toMatch(
      /^there is no \/nowhere\/node on .*: install Node 20.19 or newer there/,
    );
    const answers = (answer: object): string =>
      script(`echo 'orchd-answer ${JSON.stringify(answer)}'`);
    const old = answers({ node: "18.20.4", platform: "linux/x64" });
    expect(await because(far.settings({ node: old }))).toMatch(
      /the Node on .* is 18.20.4, and orchd needs 20.19 or newer/,
    );
    const mac = answers({ node: "22.1.0", platform: "darwin/arm64" });
    expect(await because(far.settings({ node: mac }))).toMatch(
      /is darwin\/arm64, and steps run on Linux alone/,
    );
    const broken = script("echo something else; exit 3");
    expect(await because(far.settings({ node: broken }))).toMatch(/gave no answer: something else/);
  });

  it("where its disk is full, or cannot be written", async () => {
    const mounted = (options: string): Promise<FarHost> =>
      FarHost.start({ before: `mkdir /run/small && mount -t tmpfs -o ${options} x /run/small` });
    const full = await mounted("size=1m");
    const settings = full.settings({ folder: "/run/small/orchd" });
    expect(await because(settings)).toMatch(
      /^the disk of .* is full: orchd's folder \/run\/small\/orchd needs 5 MB there$/,
    );
    expect(full.run("ls -A /run/small/orchd")).toBe("");
    const readOnly = await mounted("ro");
    expect(await because(readOnly.settings({ folder: "/run/small/orchd" }))).toMatch(
      /^orchd's folder \/run\/small\/orchd cannot be written on .*: EROFS/,
    );
  });

  it("where the account runs no commands", async () => {
    const far = await FarHost.start({ config: ["ForceCommand echo This account is closed."] });
    expect(await because(far.settings())).toMatch(
      /^the account runs no commands on .*: This account is closed$/,
    );
  });

  it("where orchd there speaks another protocol", async () => {
    const far = await FarHost.start();
    const answer = JSON.stringify({ version: "9.9.9", protocol: WIRE_PROTOCOL + 1, ended: 0 });
    const other = changed("far-host.js", `console.log('orchd-answer ${answer}');`);
    expect(await because(far.settings(), other)).toMatch(
      new RegExp(`^orchd 9.9.9 on .* speaks protocol ${WIRE_PROTOCOL + 1}, and this daemon`),
    );
  });

  it("where the package does not arrive whole, and keeps nothing of it", async () => {
    const far = await FarHost.start();
    const cut = changed("runner.js", "// cut", "0".repeat(64));
    expect(await because(far.settings(), cut)).toMatch(
      /^orchd's package cannot be put on .*: .*runner.js did not arrive whole$/,
    );
    expect(existsSync(far.folder) && readdirSync(far.folder)).toEqual([]);
  });
});
