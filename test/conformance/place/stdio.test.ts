/** A runner behind stdin and stdout: what places on other machines are made of. */
import { systemClock } from "../../../src/clock.ts";
import { PoolRig } from "../../support/pool-rig.ts";
import { stdioRunner } from "../../support/stdio-runner.ts";
import { describeShells } from "./shell-suite.ts";
import { describePlace, ROOM } from "./suite.ts";

const rigOf = (threads: number): PoolRig =>
  new PoolRig({ threads }, systemClock, undefined, stdioRunner());

describePlace("behind stdin and stdout", () => {
  const rig = rigOf(ROOM);
  return {
    place: rig.pool,
    module: (name, text) => rig.module(name, text),
    crash: () => {
      for (const pid of rig.pool.pids()) process.kill(pid, "SIGKILL");
    },
  };
});

describeShells(
  "a runner behind stdin and stdout",
  { lane: "shell", signalsAll: true, signalIsStatus: false },
  () => ({
    place: rigOf(2).pool,
  }),
);
