/** What is said of an image that is pulled, and where a pull fails. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pullBegins, pullEnded, pullIn, pullSays } from "../../src/core/pull-text.ts";
import { pullHint, registryOf } from "../../src/places/container/pull-fault.ts";
import type { RunView } from "../../src/views/run-view.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

describe("how far a pull is", () => {
  const begins = pullBegins("docker", "tool:1");
  const says = (...lines: string[]): string[] => lines.map((line) => pullSays("docker", line));

  it("is told by its layers, or by the engine's last words", () => {
    expect(pullIn([begins], "tool:1")).toBe("docker pulls the image tool:1");
    const layers = says("a1: Pulling fs layer", "b2: Pulling fs layer", "b2: Pull complete");
    expect(pullIn([begins, ...layers], "tool:1")).toMatch(/: 1 of 2 layers$/);
    const copying = pullSays("podman", "Copying blob sha256:40c1");
    expect(pullIn([pullBegins("podman", "tool:1"), copying], "tool:1")).toBe(
      "podman pulls the image tool:1: Copying blob sha256:40c1",
    );
    // Its first line may be too far back.
    expect(pullIn([copying], "tool:1")).toMatch(/^podman pulls the image tool:1: Copying/);
  });

  it("is nothing where none goes on", () => {
    expect(pullIn([], "tool:1")).toBeUndefined();
    expect(pullIn([begins, pullEnded("tool:1")], "tool:1")).toBeUndefined();
    expect(pullIn(["[orchd: the container x is kept]"], "tool:1")).toBeUndefined();
  });
});

describe("what a person can do", () => {
  const image = "reg.lan:5000/tool:1";
  const hint = (said: string, auth?: string): string | undefined =>
    pullHint(
      said,
      { image, ...(auth === undefined ? {} : { auth: { secret: auth } }) },
      auth !== undefined,
    );

  it.each<[string, RegExp]>([
    ["manifest unknown: manifest unknown", /has no such image: check its name and tag/],
    ["unauthorized: authentication required", /wants a login, or has no such image/],
    ["pull access denied for x, repository does not exist", /wants a login, or has no such/],
    ["dial tcp: lookup reg.lan: no such host", /is reg\.lan:5000 up, and is its name right/],
    ["Get https://reg.lan/v2/: context deadline exceeded", /is reg\.lan:5000 up/],
    ["http: server gave HTTP response to HTTPS client", /speaks no TLS/],
    ["x509: certificate signed by unknown authority", /is not trusted/],
    ["no matching manifest for linux/arm64 in the manifest list", /see container\.platform/],
    ["write /var/lib/x: no space left on device", /disk of the engine's storage is full/],
    ["toomanyrequests: You have reached your pull rate limit", /allows no more pulls for now/],
  ])("%s", (said, pattern) => {
    expect(hint(said)).toMatch(pattern);
  });

  it("names the secret that is refused, and says nothing of what it does not know", () => {
    expect(hint("unauthorized", "registry")).toBe(
      'reg.lan:5000 refuses the credentials of the secret "registry" (container.auth)',
    );
    expect(hint("something else")).toBeUndefined();
    expect(registryOf("postgres:16")).toBe("docker.io");
    expect(registryOf("me/tool")).toBe("docker.io");
  });
});

/** An engine whose image is never there, and whose pull takes long. */
const SLOW_ENGINE = `#!/bin/sh
case "$1 $2" in
"info "*) echo 4.3.1 ;;
"image inspect") echo "Error: image not known" >&2; exit 125 ;;
"run "*) echo "Error: tool:1: image not known" >&2; exit 125 ;;
"container inspect") echo "[]"; echo "Error: no such container x" >&2; exit 125 ;;
"pull "*) echo "Trying to pull tool:1..." >&2; printf "Copying bl" >&2
  sleep 0.2; echo "ob sha256:40c1" >&2
  exec sleep 60 ;;
esac
`;

it("status says what is pulled, before a cached step has begun and in a step", async () => {
  const { root } = tempRoot({
    "orchd.yaml": "containers: { engine: podman }\n",
    "bin/podman": SLOW_ENGINE,
    "schedules/p.yaml":
      'container: { image: "tool:1" }\nsteps:\n  kept: { uses: ./kept.ts }\n' +
      "  shell: { run: echo 1 }\n",
    "schedules/kept.ts": "export default () => 1;\n",
  });
  mkdirSync(join(root, "bin"), { recursive: true });
  writeFileSync(join(root, "bin/podman"), SLOW_ENGINE);
  chmodSync(join(root, "bin/podman"), 0o755);
  const env = { PATH: `${join(root, "bin")}:${process.env["PATH"]}` };
  const daemon = await startDaemon({ root, env });
  const run = (await ask(root, "run", "p")).stdout.trim();
  const reasons = async (): Promise<unknown[]> =>
    (await ask(root, "status", run, "--json"))
      .json<RunView>()
      .steps.map(({ step, because }) => [step, because]);
  const because = "it waits: podman pulls the image tool:1: Copying blob sha256:40c1";
  await expect.poll(reasons, { timeout: 20_000, interval: 200 }).toEqual([
    ["kept", because],
    ["shell", because],
  ]);
  expect((await ask(root, "status", run)).stdout).toContain(because);
  // A stop ends both pulls.
  await ask(root, "stop", run, "--force");
  await expect
    .poll(async () => (await ask(root, "status", run, "--json")).json<RunView>().inProgress, {
      timeout: 20_000,
    })
    .toBe(false);
  await daemon.end("SIGTERM");
});
