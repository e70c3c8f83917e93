/**
 * Leases: whatever is frozen, no step goes on for long, and none is told dead while it may still
 * run. The tests wait for leases of seconds, so they run side by side.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { PATIENCE_MS } from "../../src/places/pool/wire.ts";
import { buildProgram } from "../support/program.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { expect, onTestFinished } from "../support/running-test.ts";
import { stdioRunner } from "../support/stdio-runner.ts";
import { tempRoot } from "../support/temp-root.ts";

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** How long the file still grows, in milliseconds. */
async function growsFor(path: string): Promise<number> {
  const from = performance.now();
  let grewAt = from;
  for (let size = sizeOf(path); performance.now() - grewAt < 1_500; await pause(50)) {
    const now = sizeOf(path);
    if (now !== size) [size, grewAt] = [now, performance.now()];
  }
  return grewAt - from;
}

function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  onTestFinished(() => {
    try {
      process.kill(pid, "SIGCONT");
    } catch {
      // It was ended.
    }
  });
}

let program: string;
beforeAll(async () => {
  program = await buildProgram("runner-holder");
});

/** Starts a process that holds a runner. */
async function holder(...words: readonly string[]): Promise<{ pid: number; beats: string }> {
  const folder = tempRoot().root;
  const child = spawn(process.execPath, [program, words[0]!, folder, ...words.slice(1)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const beats = join(folder, "beats");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    // What it started hears that, and writes until then.
    await growsFor(beats);
  });
  await once(child.stdout, "data");
  return { pid: child.pid!, beats };
}

describe.concurrent("where the process that started a runner is frozen", () => {
  it("a forked runner with a lease ends, and all that it started", async () => {
    const { pid, beats } = await holder("fork", "2000");
    freeze(pid);
    // 2 s and a look, and what a busy machine takes to end it.
    expect(await growsFor(beats)).toBeLessThan(6_000);
  }, 60_000);

  it("a forked runner without one goes on", async () => {
    const { pid, beats } = await holder("fork", "60000");
    freeze(pid);
    await pause(3_000);
    const size = sizeOf(beats);
    await expect.poll(() => sizeOf(beats), { timeout: 20_000 }).toBeGreaterThan(size);
  }, 60_000);

  it("a far runner ends, and all that it started, before it would be given up", async () => {
    const { pid, beats } = await holder("stdio");
    freeze(pid);
    expect(await growsFor(beats)).toBeLessThan(PATIENCE_MS);
  }, 60_000);
});

describe.concurrent("a forked runner with a lease", () => {
  it("that is frozen before it was asked is told dead when its lease is over", async () => {
    const rig = new PoolRig({ threads: 1, leaseMs: 8_000 });
    const beats = join(rig.folder, "beats");
    const { ended } = rig.startShell(`while :; do echo . >> ${beats}; sleep 0.1; done`);
    while (sizeOf(beats) === 0) await pause(5);
    freeze(rig.pool.pids()[0]!);
    expect((await ended).death).toMatchObject({
      because: "the runner did not answer for 8 s",
      blameless: "lost",
    });
    const size = sizeOf(beats);
    await pause(500);
    expect(sizeOf(beats)).toBe(size);
  }, 60_000);
});

describe.concurrent("a far runner", () => {
  /** A step that beats in a far runner, and the pids of the front and the runner. */
  async function far(): Promise<{
    beats: string;
    front: number;
    runner: number;
    died: Promise<string>;
  }> {
    const launch = stdioRunner({ end: () => Promise.resolve(undefined) });
    const rig = new PoolRig({ threads: 1 }, systemClock, undefined, launch);
    const beats = join(rig.folder, "beats");
    const text = `while :; do echo . >> ${beats}; echo beat; sleep 0.1; done`;
    const { firstLine, ended } = rig.startShell(text);
    await firstLine;
    const [front = 0] = rig.pool.pids();
    const runner = Number(execFileSync("pgrep", ["-P", String(front)], { encoding: "utf8" }));
    return { beats, front, runner, died: ended.then(({ death }) => death?.because ?? "done") };
  }

  /** Before the process in front has asked it anything, and after that. */
  it.each([0, 2_500])(
    "that is frozen is ended with all that it started, and then told dead (after %d ms)",
    async (delayMs) => {
      const { beats, runner, died } = await far();
      await pause(delayMs);
      freeze(runner);
      expect(await died).toMatch(/^the runner did not answer for 4 s$/);
      const size = sizeOf(beats);
      await pause(1_000);
      expect(sizeOf(beats)).toBe(size);
    },
    60_000,
  );

  it("whose front is frozen ends itself, and is told dead when that is sure", async () => {
    const { beats, front, died } = await far();
    freeze(front);
    expect(await growsFor(beats)).toBeLessThan(PATIENCE_MS);
    const size = sizeOf(beats);
    expect(await died).toBe("the runner over there was not heard for 15 s");
    expect(sizeOf(beats)).toBe(size);
  }, 60_000);

  it("whose front is killed is told dead when nothing of it is left", async () => {
    const { beats, front, died } = await far();
    process.kill(front, "SIGKILL");
    expect(await died).toBe("the runner over there was ended by SIGKILL");
    const size = sizeOf(beats);
    await pause(1_000);
    expect(sizeOf(beats)).toBe(size);
  }, 60_000);
});
