/** How much room the pool has, and whom it tells: real runners, a clock that the test moves. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Task } from "../../src/core/task.ts";
import { processesWith } from "../support/ledgers.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const HELD = "await new Promise(() => undefined)";

it("a step takes room by its kind and its length, and none in a runner of its own", async () => {
  const clock = new VirtualClock();
  const rig = new PoolRig({ threads: 2 }, clock);
  const { pool } = rig;
  expect(pool.capacity()).toEqual({ module: 2, shell: 2 });
  // Once steps are short, one more a thread may be sent ahead. The first ones start a thread.
  do await rig.startBody("return 1").ended;
  while (pool.capacity()["module"] === 2);
  expect(pool.capacity()).toEqual({ module: 4, shell: 2 });
  rig.startBody(HELD);
  expect(pool.capacity()).toEqual({ module: 3, shell: 2 });
  rig.startBody(HELD, { alone: true });
  rig.startShell("sleep 60");
  expect(pool.capacity()).toEqual({ module: 3, shell: 1 });
  await clock.advance(100);
  expect(pool.capacity()["module"]).toBe(3);
  // It is long by now, and nothing is sent behind it.
  await clock.advance(1);
  expect(pool.capacity()).toEqual({ module: 2, shell: 1 });
  pool.promise("module");
  expect(pool.capacity()).toEqual({ module: 1, shell: 1 });
  pool.promise("shell");
  pool.promise("module");
  expect(pool.capacity()).toEqual({ module: 0, shell: 0 });
  // One lane by itself is told as both are.
  const lanes = (): object => ({ module: pool.room("module"), shell: pool.room("shell") });
  expect(lanes()).toEqual(pool.capacity());
  pool.redeem("module");
  pool.redeem("shell");
  expect(lanes()).toEqual(pool.capacity());
  expect(pool.capacity()).toEqual({ module: 1, shell: 1 });
  pool.redeem("module");
  await pool.close({ force: true });
  expect(pool.capacity()).toEqual({ module: 0, shell: 0 });
  expect(lanes()).toEqual(pool.capacity());
});

it("room that is free again is told after the end, until nobody listens any more", async () => {
  const rig = new PoolRig();
  const told: string[] = [];
  const { pool } = rig;
  rig.module("quick", "export default () => 1");
  const task = {
    kind: "module",
    code: { bundle: "quick", pick: "export:default", source: "./quick.ts" },
    isolated: false,
    params: {},
    inputs: {},
    run: { id: "rig@1", pipeline: "rig", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 500,
  } as unknown as Task;
  const run = (id: string): Promise<void> =>
    new Promise((resolve) =>
      pool.start(id, task, {
        done: (result) => {
          told.push(`${id} ${result.ok ? "done" : "failed"}`);
          setImmediate(resolve);
        },
        output: () => undefined,
        died: () => undefined,
      }),
    );
  const deafen = pool.onCapacity(() => void told.push("room"));
  const first = run("one");
  expect(() => pool.start("one", task, {} as never)).toThrow(
    '"one" was started already and has not ended',
  );
  await first;
  expect(told).toEqual(["one done", "room"]);
  deafen();
  await run("two");
  expect(told).toEqual(["one done", "room", "two done"]);
  await pool.close({ force: true });
  expect(() => pool.start("three", task, {} as never)).toThrow(
    '"three" cannot be started: the runners are closed',
  );
});

it("steps share a runner; a task alone has one of its own, which ends with it", async () => {
  const rig = new PoolRig();
  const { pool } = rig;
  await Promise.all([rig.startBody("return 1").ended, rig.startBody("return 1").ended]);
  const shared = pool.pids();
  expect(shared).toHaveLength(1);
  const alone = rig.startBody("console.log(process.pid)", { alone: true });
  const { line } = await alone.firstLine;
  expect(shared).not.toContain(Number(line));
  await alone.ended;
  await vi.waitFor(() => expect(pool.pids()).toEqual(shared), 5_000);
});

it("no more shell steps run at once than there are threads", async () => {
  const rig = new PoolRig({ threads: 2 });
  const begun: number[] = [];
  const go = (step: number): void => writeFileSync(join(rig.folder, `go${step}`), "");
  const steps = [1, 2, 3].map((step) => {
    const started = rig.startShell(`echo begun; until [ -e go${step} ]; do sleep 0.02; done`);
    void started.firstLine.then(() => begun.push(step));
    return started;
  });
  await Promise.all(steps.slice(0, 2).map(({ firstLine }) => firstLine));
  // The runner has placed all three by now: a fourth task has gone through it.
  await rig.startBody("return 1").ended;
  expect(begun.toSorted((a, b) => a - b)).toEqual([1, 2]);
  go(1);
  await steps[2]!.firstLine;
  for (const step of [2, 3]) go(step);
  await Promise.all(steps.map(({ ended }) => ended));
});

/** The size of the thread pool that a runner was started with. */
function poolSizes(rig: PoolRig): (string | undefined)[] {
  return rig.pool
    .pids()
    .map(
      (pid) =>
        /\0UV_THREADPOOL_SIZE=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, "latin1"))?.[1],
    );
}

it.each([
  [2, undefined, ["4", "4"]],
  [8, undefined, ["8", "4"]],
  [8, "6", ["6", "6"]],
])(
  "with %i threads and a pool of %s, both kinds of runner have %j",
  async (threads, own, sizes) => {
    const before = process.env["UV_THREADPOOL_SIZE"];
    onTestFinished(() => {
      delete process.env["UV_THREADPOOL_SIZE"];
      if (before !== undefined) process.env["UV_THREADPOOL_SIZE"] = before;
    });
    delete process.env["UV_THREADPOOL_SIZE"];
    if (own !== undefined) process.env["UV_THREADPOOL_SIZE"] = own;
    const rig = new PoolRig({ threads });
    await rig.startBody("return 1").ended;
    const body = `console.log("begun"); ${HELD}`;
    await rig.startBody(body, { alone: true }).firstLine;
    expect(poolSizes(rig)).toEqual(sizes);
  },
);

it("the runner for loads is ended once it was idle for half a minute, and not before", async () => {
  const clock = new VirtualClock();
  const rig = new PoolRig({}, clock);
  rig.module("file", "export default {}");
  rig.module("slow", "export default {}; await new Promise((end) => setTimeout(end, 300));");
  const load = (bundle: string) =>
    rig.startTask({
      kind: "load",
      code: { bundle, pick: "export:default", source: `./${bundle}.ts` },
    });
  await load("file").ended;
  const runner = rig.pool.pids();
  await clock.advance(29_999);
  // A load that begins within that time is not ended with the runner.
  const slow = load("slow");
  await clock.advance(1);
  expect((await slow.ended).death).toBeUndefined();
  expect(rig.pool.pids()).toEqual(runner);
  await clock.advance(30_000);
  await vi.waitFor(() => expect(rig.pool.pids()).toEqual([]), 5_000);
});

it("what a step started ends with it where its thread is gone", async () => {
  const rig = new PoolRig();
  const word = `3600.${Math.random().toString().slice(2)}`;
  const body = `
    const { spawn } = await import("node:child_process");
    const child = spawn("sleep", ["${word}"], { detached: true, stdio: "ignore" });
    console.log("begun");
    await new Promise((end) => setTimeout(end, 1000));
    process.exit(3);`;
  const step = rig.startBody(body);
  await step.firstLine;
  // It has its words once it is a program of its own.
  await vi.waitFor(() => expect(processesWith(word)).toHaveLength(1), 900);
  await step.ended;
  await vi.waitFor(() => expect(processesWith(word)).toEqual([]), 5_000);
});
