/** A runner behind stdin and stdout: what places on other machines are made of. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { PoolRig } from "../../support/pool-rig.ts";
import { stdioRunner } from "../../support/stdio-runner.ts";
import { describeFarPlace } from "./far-suite.ts";
import { describeShells } from "./shell-suite.ts";
import { describePlace, ROOM } from "./suite.ts";

const rigOf = (threads: number): PoolRig =>
  new PoolRig({ threads }, systemClock, undefined, stdioRunner());
const frontOf = (rig: PoolRig): number => rig.pool.pids()[0]!;

/** The runner below its front. @throws where it is not there yet */
const runnerBelow = (front: number): number =>
  Number(
    execFileSync("pgrep", ["-P", String(front), "-f", "daemon/runner.js"], { encoding: "utf8" }),
  );
const runnerOf = (rig: PoolRig): Promise<number> =>
  vi.waitFor(() => runnerBelow(frontOf(rig)), { timeout: 20_000 });

describePlace("behind stdin and stdout", () => {
  const rig = rigOf(ROOM);
  return {
    place: rig.pool,
    module: (name, text) => rig.module(name, text),
    // The runners below the commands: a command that ends is a way that was lost.
    crash: () => {
      for (const front of rig.pool.pids()) process.kill(runnerBelow(front), "SIGKILL");
    },
  };
});

describeShells(
  "a runner behind stdin and stdout",
  { lane: "shell", signalsAll: true, signalIsStatus: false },
  () => ({ place: rigOf(2).pool }),
);

describeFarPlace(
  "behind stdin and stdout",
  {
    room: 2,
    limitsMemory: true,
    hasPackages: false,
    takesFrames: true,
    sharesDisk: true,
    ends: ["its front", "its runner"],
  },
  () => {
    const rig = rigOf(2);
    return {
      place: rig.pool,
      module: (name, text) => rig.module(name, text),
      end: async (what) => {
        process.kill(what === "its front" ? frontOf(rig) : await runnerOf(rig), "SIGKILL");
      },
    };
  },
);

it("gives a shell text without a folder one of its own, which goes with it", async () => {
  const { lines } = await rigOf(1).startShell("pwd; touch left", { cwd: "" }).ended;
  const [{ line: folder }] = lines as [(typeof lines)[0]];
  expect(folder).toMatch(/\/orchd-far-\w+\/scratch\//);
  await vi.waitFor(() => expect(existsSync(folder)).toBe(false));
});
