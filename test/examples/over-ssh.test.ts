/** The example over-ssh: a shell text and a function on a machine behind a real sshd. */
import { userInfo } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { PlacesView } from "../../src/views/places.ts";
import { linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { FarHost, readyNamespaces, SKIP_NAMESPACES } from "../support/sshd.ts";
import { edit, exampleRoot, linesOfType } from "./example-root.ts";

describe.skipIf(SKIP_NAMESPACES)("the example over-ssh", () => {
  beforeAll(() => readyNamespaces());

  it("runs its steps there, and says so; a machine that is gone takes no work", async () => {
    const far = await FarHost.start();
    const root = exampleRoot("over-ssh");
    // The README's reader has a machine with a name, a key and Node in the PATH.
    const known = join(far.keys, "known_hosts");
    const keys = `identity: ${join(far.keys, "user")}, knownHosts: ${known}`;
    const more = `user: ${userInfo().username}, folder: ${far.folder}, node: ${process.execPath}`;
    edit(root, "orchd.yaml", "host: box.lan", `host: ${far.host}, ${keys}, ${more}`);
    const prepared = await orchd(root.root, "place", "prepare", "box");
    expect([prepared.stderr, prepared.status]).toEqual(["", 0]);

    const daemon = await startDaemon(root);
    expect((await orchd(root.root, "run", "survey", "--wait")).status).toBe(0);
    const run = runsOf(root.runs, "survey").at(-1)!;
    expect(outcomeOf(run)).toBe("completed");
    const placed = linesOfType(run, "step.placed").map(({ step, place }) => [step, place]);
    expect(placed).toEqual([
      ["ask", "box"],
      ["work", "box"],
    ]);
    const lines = linesOf(run.path.replace(/jsonl$/, "log")).map(({ line }) => String(line));
    expect(lines).toEqual([
      expect.stringMatching(/^asking /),
      expect.stringMatching(/summing \d+000 numbers/),
      expect.stringMatching(/^the sum of \d+000 numbers is \d+$/),
    ]);
    const { stdout } = await orchd(root.root, "status", run.run);
    expect(stdout).toMatch(/work +completed +1 +\S+ +box \S+ /);
    const box = async (): Promise<PlacesView["places"][number] | undefined> =>
      (await orchd(root.root, "places", "--json"))
        .json<PlacesView>()
        .places.find(({ place }) => place === "box");
    // What a place says of itself is written a moment after it has changed.
    await expect.poll(box, { timeout: 40_000, interval: 500 }).toMatchObject({
      engine: "ssh",
      because: null,
      hosts: [{ because: null, node: process.versions.node, threads: 2 }],
    });

    await far.crash();
    await expect
      .poll(async () => JSON.stringify(await box()), { timeout: 40_000, interval: 500 })
      .toMatch(/"because":"[^"]+/);
    await daemon.end();
  }, 120_000);
});
