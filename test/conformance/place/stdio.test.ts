/** A runner behind stdin and stdout: what places on other machines are made of. */
import { execFileSync } from "node:child_process";
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
    // The runners below the commands: a command that ends is a way that was lost.
    crash: () => {
      for (const pid of rig.pool.pids()) {
        const words = ["-P", String(pid), "-f", "daemon/runner.js"];
        process.kill(Number(execFileSync("pgrep", words, { encoding: "utf8" })), "SIGKILL");
      }
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
