import { join } from "node:path";
import { PoolRig } from "../../support/pool-rig.ts";
import { describeFarPlace } from "./far-suite.ts";
import { describePlace, ROOM } from "./suite.ts";

describePlace("local, in real runner processes", () => {
  const rig = new PoolRig({ threads: ROOM });
  return {
    place: rig.pool,
    module: (name, text) => rig.module(name, text),
    crash: () => {
      for (const pid of rig.pool.pids()) process.kill(pid, "SIGKILL");
    },
  };
});

describeFarPlace(
  "local",
  {
    room: 2,
    limitsMemory: true,
    hasPackages: true,
    takesFrames: true,
    sharesDisk: true,
    ends: ["its runner"],
  },
  () => {
    const rig = new PoolRig({ threads: 2 });
    return {
      place: rig.pool,
      bundles: join(rig.folder, "bundles"),
      module: (name, text) => rig.module(name, text),
      end: () => void process.kill(rig.pool.pids()[0]!, "SIGKILL"),
    };
  },
);
