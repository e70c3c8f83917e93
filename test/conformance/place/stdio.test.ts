/** A runner behind stdin and stdout: what places on other machines are made of. */
import { dirname, join } from "node:path";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { PIECE_BYTES, WIRE_PROTOCOL } from "../../../src/places/pool/wire.ts";
import { FAR_PROGRAMS, farPackage } from "../../../src/places/ssh/far-package.ts";
import { PoolRig } from "../../support/pool-rig.ts";
import { stdioRunner } from "../../support/stdio-runner.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { describeFarPlace, mapped } from "./far-suite.ts";
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
  { lane: "shell", signalsAll: true, signalIsStatus: false, isShared: true },
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
      bundles: join(rig.folder, "bundles"),
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

it("names the user's file in a stack where a link leads to its folder", async () => {
  const { root } = tempRoot();
  const folder = join(root, "link");
  mkdirSync(join(root, "folder"));
  symlinkSync(join(root, "folder"), folder);
  const rig = new PoolRig({ threads: 1 }, systemClock, undefined, stdioRunner({ folder }));
  const bundles = join(rig.folder, "bundles");
  const module = (name: string, text: string): void => rig.module(name, text);
  const { bundle, source } = await mapped({ module, bundles });
  const path = join(bundles, `${bundle}.mjs.map`);
  const map = JSON.parse(readFileSync(path, "utf8")) as object;
  writeFileSync(path, JSON.stringify({ ...map, names: ["x".repeat(3 * PIECE_BYTES)] }));
  const { result } = await rig.start(bundle).ended;
  expect(result).toMatchObject({ ok: false });
  expect(JSON.stringify(result)).toContain(`${source}:2:1`);
});

it("gives no task to a runner of another protocol, and says which release it is", async () => {
  const { root } = tempRoot();
  for (const { path, bytes } of farPackage().files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    const text = bytes.toString().replace(/WIRE_PROTOCOL = \d+/, "WIRE_PROTOCOL = 99");
    writeFileSync(join(root, path), text);
  }
  const program = join(root, FAR_PROGRAMS, "runner.js");
  const command = () => ({ words: [process.execPath, program, "--stdio"] as const });
  const rig = new PoolRig({ threads: 1 }, systemClock, undefined, stdioRunner({ command }));
  const { death } = await rig.startShell("echo never").ended;
  const { version } = farPackage();
  expect(death).toMatchObject({
    blameless: "unbegun",
    because:
      `the runner over there speaks protocol 99 of orchd ${version}, and this daemon speaks ` +
      `${WIRE_PROTOCOL}: install the same release over there`,
  });
});
