import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import type { SnapshotStep } from "../../../src/core/snapshot.ts";
import { farPackage } from "../../../src/places/ssh/far-package.ts";
import { WIRE_PROTOCOL } from "../../../src/places/pool/wire.ts";
import { prepareOnce } from "../../../src/places/ssh/prepare.ts";
import { fullFigures } from "../../support/figures.ts";
import { expect } from "../../support/running-test.ts";
import { SshRig } from "../../support/ssh-rig.ts";
import { FarHost, readyNamespaces, SKIP_NAMESPACES } from "../../support/sshd.ts";

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
};

/** A text that goes on until it is ended, and writes a sign of life into a file. */
const pulse = (path: string): string => `echo begun; while :; do date > ${path}; sleep 0.05; done`;

/** The pids of this place's clients, by a word of theirs. */
function clients(far: FarHost, word: string): number[] {
  return execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(` ${far.host} `) && line.includes(word))
    .map((line) => Number(line.trim().split(" ")[0]));
}

const LOST = { blameless: "lost", code: "ORCHD_PLACE" };

describe.skipIf(SKIP_NAMESPACES)("a place over SSH", { timeout: 90_000 }, () => {
  let far: FarHost;
  beforeAll(async () => {
    readyNamespaces();
    far = await FarHost.start();
  });
  afterAll(() => far.remove());

  it("says what it is, and leaves nothing there when it is closed", async () => {
    const rig = await SshRig.open({ far, more: { labels: ["gpu"] } });
    expect(rig.place.report()).toEqual({
      place: "far",
      engine: "ssh",
      labels: ["far", "gpu"],
      hosts: [
        {
          host: far.host,
          labels: [],
          threads: 2,
          node: process.versions.node,
          platform: `linux/${process.arch}`,
          version: farPackage().version,
          protocol: WIRE_PROTOCOL,
        },
      ],
    });
    expect(rig.place.serves(["gpu", "far"])).toBe(true);
    expect(rig.place.serves(["gpu", "red"])).toBe(false);
    expect((await rig.shell("echo there").ended).lines).toEqual(["there"]);
    const forever = rig.shell(pulse(join(rig.folder, "pulse")));
    await forever.begun;
    expect(rig.place.tasks).toBe(1);
    await rig.place.close(false);
    await until(() => far.processes().length === 0);
    expect(clients(far, "ssh")).toEqual([]);
  });

  it("gives a step's secrets to nobody who lists processes, on either side", async () => {
    const rig = await SshRig.open({ far });
    const env = { TOKEN: "hush-hush-hush" };
    const step = rig.shell("echo begun; sleep 1; echo $TOKEN", { env, secrets: [env.TOKEN] });
    await step.begun;
    const here = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" });
    expect(far.processes().join("\n") + here).not.toContain("hush-hush-hush");
    expect((await step.ended).lines).toEqual(["begun", "***"]);
  });

  it("sends code and files by their hash, once", async () => {
    const rig = await SshRig.open({ far });
    rig.module("code", 'import { step } from "orchd"; export default () => typeof step;');
    for (let round = 0; round < 2; round += 1)
      expect((await rig.run("code").ended).result).toEqual({ ok: true, value: "function" });
    const bundles = join(far.folder, "files", farPackage().id, "bundles");
    const kept = (): object[] =>
      readdirSync(bundles).map((name) => [name, statSync(join(bundles, name)).ino]);
    const before = kept();
    expect(before).not.toEqual([]);
    await rig.place.close(true);
    rig.reopen();
    await rig.ready();
    expect((await rig.run("code").ended).result).toEqual({ ok: true, value: "function" });
    expect(kept()).toEqual(before);
  });

  it("blames no step whose client was killed, once nothing of it is left there", async () => {
    const rig = await SshRig.open({ far });
    const path = join(rig.folder, "pulse");
    const step = rig.shell(pulse(path));
    await step.begun;
    for (const pid of clients(far, " run ")) process.kill(pid, "SIGKILL");
    const { death } = await step.ended;
    expect(death).toMatchObject(LOST);
    // It was told, and did not come out by a lease.
    expect(death!.because).not.toContain("no answer");
    expect(far.processes()).toEqual([]);
    expect((await rig.shell("echo again").ended).lines).toEqual(["again"]);
  });

  it("knows which steps had begun of those whose client was killed", async () => {
    const rig = await SshRig.open({ far, threads: 1 });
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    const waits = rig.shell("echo never");
    // It was told over there that it waits, or never will be.
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const pid of clients(far, " run ")) process.kill(pid, "SIGKILL");
    expect((await step.ended).death).toMatchObject(LOST);
    expect((await waits.ended).death).toMatchObject({ blameless: "unbegun" });
  });

  it("blames no step of a connection that was killed, and connects again", async () => {
    const rig = await SshRig.open({ far });
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    for (const pid of clients(far, "orchd-connected")) process.kill(pid, "SIGKILL");
    expect((await step.ended).death).toMatchObject(LOST);
    expect(far.processes()).toEqual([]);
    await rig.ready();
    expect((await rig.shell("echo again").ended).lines).toEqual(["again"]);
  });

  it("outlives a way that is cut for a moment", async () => {
    const rig = await SshRig.open({ far });
    const step = rig.shell("echo begun; sleep 2; echo still");
    await step.begun;
    far.cut();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    far.mend();
    expect(await step.ended).toMatchObject({ result: { ok: true }, lines: ["begun", "still"] });
  });

  it.runIf(fullFigures)(
    "ends a step by force where the way is cut, when its lease is over",
    async () => {
      const rig = await SshRig.open({ far });
      const step = rig.shell(pulse(join(rig.folder, "pulse")));
      await step.begun;
      far.cut();
      rig.place.stop("rig@1#1", "force", "enough");
      expect((await step.ended).result).toMatchObject({ ok: false, outcome: "stopped" });
      expect(far.processes()).toEqual([]);
      far.mend();
    },
  );

  it.runIf(fullFigures)("ends a step that a frozen machine has, as that thaws", async () => {
    const own = await FarHost.start();
    const rig = await SshRig.open({ far: own });
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    const frozen = own.pids();
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
    const thawn = new Promise((resolve) => setTimeout(resolve, 20_000));
    const { death } = await step.ended;
    expect(death).toMatchObject(LOST);
    await thawn;
    for (const pid of frozen) process.kill(pid, "SIGCONT");
    await rig.ready();
    expect((await rig.shell("echo again").ended).lines).toEqual(["again"]);
    await rig.place.close(false);
    await until(() => own.processes().length === 0);
  });

  it.runIf(fullFigures)("says that the disk there is full, and goes on after that", async () => {
    const before = "mkdir /run/small && mount -t tmpfs -o size=24m x /run/small";
    const own = await FarHost.start({ before });
    const rig = await SshRig.open({ far: own, more: { folder: "/run/small/orchd" } });
    rig.module("code", `export default () => "${"x".repeat(10_000)}".length;`);
    expect((await rig.shell("echo there").ended).lines).toEqual(["there"]);
    own.run("dd if=/dev/zero of=/run/small/fill bs=4096 2>/dev/null || :");
    const full = /^its files cannot be written over there: ENOSPC/;
    const error = { message: expect.stringMatching(full) as string, code: "ORCHD_PLACE" };
    expect((await rig.run("code").ended).result).toMatchObject({ ok: false, error });
    const inputs = { list: ["y".repeat(40_000)] };
    expect((await rig.shell("echo shell", { inputs }).ended).result).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining("ENOSPC") as string },
    });
    own.run("rm /run/small/fill");
    expect((await rig.run("code").ended).result).toEqual({ ok: true, value: 10_000 });
    expect((await rig.shell("echo shell", { inputs }).ended).lines).toEqual(["shell"]);
  });

  it.runIf(fullFigures)("takes steps again after the machine lost its power", async () => {
    const own = await FarHost.start();
    const rig = await SshRig.open({ far: own });
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    await own.crash();
    expect((await step.ended).death).toMatchObject(LOST);
    await own.boot();
    await rig.ready();
    expect((await rig.shell("echo again").ended).lines).toEqual(["again"]);
  });

  it("says where a step runs, soon after it begins and before its end", async () => {
    const rig = await SshRig.open({ far });
    rig.module("brief", "export default () => 1;\n");
    const at = { place: "far", host: far.host };
    const forever = rig.shell("while :; do sleep 0.05; done");
    expect(await forever.placed).toMatchObject(at);
    for (let times = 0; times < 3; times += 1) {
      const { placed, ended } = rig.run("brief");
      expect(await Promise.race([ended, placed])).toMatchObject(at);
      expect((await ended).result).toEqual({ ok: true, value: 1 });
    }
  });

  it("begins brief steps ahead, and no others", async () => {
    const rig = await SshRig.open({ far });
    rig.module("brief", "export default () => 1;\n");
    const code = { bundle: "brief", pick: "export:default", source: "./brief.ts" };
    const spec = { code, on: ["far"], isolated: false, hooks: {} } as unknown as SnapshotStep;
    expect(rig.place.share(spec)).toBe(1);
    // Where the machine is busy they are not brief at once.
    while (rig.place.share(spec) === 1) await rig.run("brief").ended;
    expect(rig.place.share({ ...spec, timeoutMs: 1_000 })).toBe(1);
    const ended = await Promise.all(
      Array.from({ length: 60 }, () => rig.run("brief", {}, { ahead: true }).ended),
    );
    expect(ended.filter(({ result }) => result?.ok !== true)).toEqual([]);
  });

  it("runs more at once than the host allows in one connection", async () => {
    const narrow = await FarHost.start({ config: ["MaxSessions 3"] });
    const rig = await SshRig.open({ far: narrow, threads: 5 });
    const steps = [1, 2, 3, 4, 5].map(() => rig.shell("echo begun; sleep 1", { alone: true }));
    await Promise.all(steps.map(({ begun }) => begun));
    for (const { ended } of steps) expect((await ended).result).toMatchObject({ ok: true });
  });
});

// These wait until leases are over, so each has a machine of its own and they run side by side.
const SIDE_BY_SIDE = { timeout: 90_000, concurrent: true };

describe.skipIf(SKIP_NAMESPACES)("a place over SSH whose lease is over", SIDE_BY_SIDE, () => {
  it("gives a step up only when it has ended there, where the way is cut", async () => {
    const rig = await SshRig.open();
    const { far } = rig;
    const path = join(rig.folder, "pulse");
    const step = rig.shell(pulse(path));
    await step.begun;
    far.cut();
    const { death } = await step.ended;
    expect(death).toMatchObject(LOST);
    expect(far.processes()).toEqual([]);
    expect(Date.now() - statSync(path).mtimeMs).toBeGreaterThan(0);
    expect(rig.place.whyNot()).toMatch(/^the connection to .* broke|cannot be reached/);
    expect(rig.place.capacity()).toEqual({ module: 0, shell: 0 });
    const late = rig.shell("echo never");
    expect((await late.ended).death).toMatchObject({ blameless: "unbegun" });
    far.mend();
    await rig.ready();
    expect((await rig.shell("echo again").ended).lines).toEqual(["again"]);
  });

  it("blames no step whose lease was over while this side was frozen", async () => {
    const rig = await SshRig.open();
    const { far } = rig;
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    const frozen = clients(far, "ssh");
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
    await until(() => far.processes().length === 0);
    for (const pid of frozen) process.kill(pid, "SIGCONT");
    const { death } = await step.ended;
    expect(death).toMatchObject(LOST);
    expect(death!.because).toMatch(/had no answer of the daemon for 9 s$/);
  });
});

describe.skipIf(SKIP_NAMESPACES)("the next daemon of a place over SSH", SIDE_BY_SIDE, () => {
  it("ends what the one before left, before anything starts", async () => {
    const rig = await SshRig.open();
    const path = join(rig.folder, "pulse");
    const left = rig.shell(pulse(path));
    await left.begun;
    const { place: before } = rig;
    rig.reopen();
    expect(await rig.place.adopt(["rig@1#1"])).toEqual(new Set());
    // What took the place over has told it, and may not have ended yet.
    const others = rig.far.processes().filter((one) => !one.includes("far-host.js take "));
    expect(others).toEqual([]);
    await rig.ready();
    // The one before hears it at once, and waits for no lease.
    const { death } = await left.ended;
    expect(death).toMatchObject(LOST);
    expect(death!.because).not.toContain("no answer");
    // Not even what the one before asks for now.
    const late = rig.shell("echo late", { alone: true }, before);
    expect((await late.ended).death).toMatchObject({ blameless: "unbegun" });
    expect((await rig.shell("echo mine").ended).lines).toEqual(["mine"]);
  });

  it("knows which steps of the one before had begun, until it starts one itself", async () => {
    const rig = await SshRig.open({ threads: 1 });
    const step = rig.shell(pulse(join(rig.folder, "pulse")));
    await step.begun;
    rig.shell("echo never");
    await until(() => rig.place.tasks === 2);
    // As a daemon that is killed: the runner hears the end of its input.
    for (const pid of clients(rig.far, "ssh")) process.kill(pid, "SIGKILL");
    void rig.place.close(true);
    for (let daemon = 0; daemon < 2; daemon += 1) {
      // One that is killed before it starts a step leaves the same to the next.
      rig.reopen();
      const ids = [1, 2, 3].map((line) => `rig@1#${line}`);
      expect(await rig.place.adopt(ids)).toEqual(new Set());
      const begun = ids.map((id) => rig.place.mayHaveBegun(id));
      expect(begun).toEqual([true, "not here", "not here"]);
      expect(rig.place.mayHaveBegun("rig@2#1")).toBeUndefined();
      await rig.ready();
      if (daemon === 0) await rig.place.close(true);
    }
    expect((await rig.shell("echo mine").ended).lines).toEqual(["mine"]);
    await rig.place.close(true);
    rig.reopen();
    await rig.place.adopt(["rig@1#2"]);
    expect(rig.place.mayHaveBegun("rig@1#2")).toBe(true);
  });

  it("leaves other roots alone that use the same account and folder", async () => {
    const far = await FarHost.start();
    const [one, other] = [await SshRig.open({ far }), await SshRig.open({ far })];
    const step = one.shell("echo begun; sleep 1; echo end");
    await step.begun;
    other.reopen();
    await other.ready();
    expect((await step.ended).lines).toEqual(["begun", "end"]);
  });

  it.runIf(fullFigures)(
    "waits until every lease is over where the machine does not answer",
    async () => {
      const rig = await SshRig.open();
      await rig.place.close(true);
      rig.far.cut();
      const began = performance.now();
      rig.reopen();
      expect(await rig.place.adopt(["rig@1#1"])).toEqual(new Set());
      expect(performance.now() - began).toBeGreaterThan(14_500);
    },
  );
});

describe.skipIf(SKIP_NAMESPACES)("a place over SSH that takes no steps", SIDE_BY_SIDE, () => {
  it("says what is missing, and notices that it is there", async () => {
    const rig = await SshRig.open();
    // An older release is there.
    const older = join(rig.far.folder, "0.0.9-0123456789abcdef");
    renameSync(join(rig.far.folder, farPackage().id), older);
    rig.reopen();
    await until(() => rig.place.whyNot()?.includes("prepare") === true);
    expect(rig.place.whyNot()).toMatch(
      /^orchd of this release is not on root@.*: run `orchd place prepare far`$/,
    );
    expect(rig.place.room("shell", ["far"])).toBe(0);
    expect(rig.place.report().hosts[0]).toMatchObject({ because: rig.place.whyNot() });
    await prepareOnce(systemClock, rig.settings, WIRE_PROTOCOL);
    await rig.ready();
    expect(rig.place.room("shell", ["far"])).toBe(2);
    expect(existsSync(older)).toBe(true);
  });

  it("says that its runner does not start, and starts none over and over", async () => {
    const rig = await SshRig.open();
    rmSync(join(rig.far.folder, farPackage().id, "node_modules/orchd/dist/daemon/runner.js"));
    const step = rig.shell("echo never");
    const { death } = await step.ended;
    expect(death).toMatchObject({ blameless: "unbegun" });
    expect(rig.place.whyNot()).toMatch(
      /^the runner on .* ended with status 1.*Cannot find module/s,
    );
    await until(() => rig.place.whyNot()?.includes("prepare") === true);
  });
});
