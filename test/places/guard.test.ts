/**
 * Promise 24, a runner that dies: its guard ends a process that is between two programs as it
 * looks. What the guard is shown of processes is played; the process that it ends is real.
 */
import * as processes from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { Guard } from "../../src/places/runner/guard.ts";
import { tempRoot } from "../support/temp-root.ts";

const { execFileSync, spawn } = processes;
/** What stands for /proc, once there is one, and the guard's process. */
const played = vi.hoisted(() => ({ proc: "", guard: undefined as unknown }));

vi.mock(import("node:child_process"), async (original) => {
  const real = await original();
  const start = ((program: string, words: string[], options: processes.SpawnOptions) => {
    const texts = words.map((word) => word.replaceAll("/proc/", `${played.proc}/`));
    const stdio = ["pipe", "ignore", "ignore", "ignore"] as const;
    return (played.guard = real.spawn(program, texts, { ...options, stdio: [...stdio] }));
  }) as typeof real.spawn;
  return {
    ...real,
    spawn: (...args: Parameters<typeof start>) =>
      args[1].includes("orchd-guard") ? start(...args) : real.spawn(...args),
  } as typeof real;
});

/** What is said of a process whose environment has no end yet. */
const BECOMING = `1 (a b) S${" 0".repeat(50)}\n`;

it("ends what has no environment in its first looks", async () => {
  const { root } = tempRoot();
  played.proc = root;
  const own = spawn("sleep", ["600"], { stdio: "ignore" });
  onTestFinished(() => void own.kill("SIGKILL"));
  const over = once(own, "exit");
  const folder = join(root, String(own.pid));
  const [environment, line] = [join(folder, "environ"), join(folder, "stat")];
  mkdirSync(folder);
  writeFileSync(environment, "");
  execFileSync("mkfifo", [line]);
  const guard = new Guard("token.1", join(root, "scratch-"));
  await guard.ready;
  const child = played.guard as processes.ChildProcess;
  const gone = once(child, "exit");
  child.stdin!.end();
  // Each look lasts until this line is read.
  for (const text of ["", "", "A=1\0ORCHD_RUNNER_TOKEN=token.1/4\0"]) {
    const read = await open(line, "w");
    rmSync(line);
    execFileSync("mkfifo", [line]);
    writeFileSync(environment, text);
    await read.write(BECOMING);
    await read.close();
  }
  expect(await over).toEqual([null, "SIGKILL"]);
  rmSync(folder, { recursive: true });
  await gone;
});
