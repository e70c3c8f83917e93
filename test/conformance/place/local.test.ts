import { PoolRig } from "../../support/pool-rig.ts";
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
