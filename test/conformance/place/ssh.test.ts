/** Another machine, over SSH: a real sshd in a network of its own. */
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { SshRig } from "../../support/ssh-rig.ts";
import { FarHost, readyNamespaces, SKIP_NAMESPACES } from "../../support/sshd.ts";
import { describeFarPlace } from "./far-suite.ts";
import { describeShells } from "./shell-suite.ts";
import { describePlace, ROOM } from "./suite.ts";

describe.skipIf(SKIP_NAMESPACES)("another machine", () => {
  let far: FarHost;
  beforeAll(async () => {
    readyNamespaces();
    far = await FarHost.start();
  });
  afterAll(() => far.remove());

  describePlace("over SSH", async () => {
    const rig = await SshRig.open({ far, threads: ROOM });
    return {
      place: rig.place,
      module: (name, text) => rig.module(name, text),
      crash: () => rig.crashRunners(),
    };
  });

  describeShells(
    "over SSH",
    { lane: "shell", signalsAll: true, signalIsStatus: false, isShared: true },
    async () => ({
      place: (await SshRig.open({ far })).place,
    }),
  );

  describeFarPlace(
    "over SSH",
    {
      room: ROOM,
      limitsMemory: true,
      hasPackages: false,
      takesFrames: true,
      sharesDisk: true,
      ends: ["its client", "its connection", "its front", "its runner"],
    },
    async () => {
      const rig = await SshRig.open({ far, threads: ROOM });
      return {
        place: rig.place,
        bundles: join(rig.folder, "bundles"),
        module: (name, text) => rig.module(name, text),
        end: (what) => rig.end(what as "its client"),
      };
    },
  );
});
