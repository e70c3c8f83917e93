/** A step that is asked to end: what is asked later counts more, and a late answer counts less. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PoolRig, type Ended, type Started } from "../support/pool-rig.ts";

/** Steps that hear nothing: a module that ignores its signal, a shell that ignores TERM. */
const DEAF: readonly [string, (rig: PoolRig, timeoutMs?: number) => Started][] = [
  [
    "a module",
    (rig, timeoutMs) =>
      rig.startBody(
        `console.log("begun"); for (;;) await new Promise((go) => setTimeout(go, 20));`,
        timeoutMs === undefined ? {} : { timeoutMs },
      ),
  ],
  [
    "a shell step",
    (rig, timeoutMs) =>
      rig.startShell(
        `trap "" TERM; echo begun; while :; do sleep 0.02; done`,
        timeoutMs === undefined ? {} : { timeoutMs },
      ),
  ],
];

function errorOf({ result }: Ended): object {
  return result?.ok === false ? { outcome: result.outcome, message: result.error.message } : {};
}

describe.each(DEAF)("%s that hears nothing", (_, start) => {
  it("goes on after a graceful stop, and ends by a forced one, alone in its runner", async () => {
    const rig = new PoolRig();
    const beside = rig.startBody(`await new Promise((go) => setTimeout(go, 2_500)); return 7;`);
    const step = start(rig);
    await step.firstLine;
    rig.pool.stop(step.id, "graceful", "please");
    rig.pool.stop(step.id, "graceful", "please");
    // Longer than a runner waits for a thread that hears nothing.
    await rig.startShell("sleep 0.8").ended;
    expect(await Promise.race([step.ended, Promise.resolve("goes on")])).toBe("goes on");
    rig.pool.stop(step.id, "force", "at once");
    expect(errorOf(await step.ended)).toMatchObject({ outcome: "stopped", message: "please" });
    expect((await beside.ended).result).toEqual({ ok: true, value: 7 });
  });

  it("ends by its time limit, though it was asked to stop before", async () => {
    const rig = new PoolRig();
    const step = start(rig, 900);
    await step.firstLine;
    rig.pool.stop(step.id, "graceful", "please");
    expect(errorOf(await step.ended)).toMatchObject({ outcome: "stopped", message: "please" });
  });
});

describe("a step that ends well after it was asked to end", () => {
  it.each<[string, (rig: PoolRig, timeoutMs: number) => Started]>([
    [
      "a module",
      (rig, timeoutMs) =>
        rig.startBody(
          `console.log("begun");
          while (!context.signal.aborted) await new Promise((go) => setTimeout(go, 5));
          return 7;`,
          { timeoutMs, gracePeriodMs: 60_000 },
        ),
    ],
    [
      "a shell step",
      (rig, timeoutMs) =>
        rig.startShell(
          `trap 'echo 7 > "$ORCHD_OUTPUT"; exit 0' TERM; echo begun; while :; do sleep 0.02; done`,
          { timeoutMs, gracePeriodMs: 60_000 },
        ),
    ],
  ])("has completed, where it was stopped; not where its time was over: %s", async (_, start) => {
    const rig = new PoolRig();
    const stopped = start(rig, 60_000);
    await stopped.firstLine;
    rig.pool.stop(stopped.id, "graceful", "please");
    expect((await stopped.ended).result).toEqual({ ok: true, value: 7 });
    expect(errorOf(await start(rig, 400).ended)).toMatchObject({
      outcome: "timeout",
      message: expect.stringMatching(/was not done within its time limit of 400ms/) as string,
    });
  });
});

it("a shell step that is stopped while it waits for a place never runs", async () => {
  const rig = new PoolRig({ threads: 1 });
  const first = rig.startShell("echo begun; while [ ! -e go ]; do sleep 0.02; done");
  await first.firstLine;
  const waiting = rig.startShell("touch ran");
  rig.pool.stop(waiting.id, "graceful", "not any more");
  expect(errorOf(await waiting.ended)).toEqual({ outcome: "stopped", message: "not any more" });
  writeFileSync(join(rig.folder, "go"), "");
  await first.ended;
  await rig.startShell("true").ended;
  expect(existsSync(join(rig.folder, "ran"))).toBe(false);
});
