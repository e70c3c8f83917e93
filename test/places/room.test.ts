/** How much room the pool has, and whom it tells: real runners, a clock that the test moves. */
import { expect, it, vi } from "vitest";
import type { Task } from "../../src/core/task.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const HELD = "await new Promise(() => undefined)";

it("a step takes room by its kind and its length, and none in a runner of its own", async () => {
  const clock = new VirtualClock();
  const rig = new PoolRig({ threads: 2 }, clock);
  const { pool } = rig;
  expect(pool.capacity()).toEqual({ module: 2, shell: 2 });
  await rig.startBody("return 1").ended;
  // Steps are short: one more a thread may be sent ahead.
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
  pool.redeem("module");
  pool.redeem("shell");
  expect(pool.capacity()).toEqual({ module: 1, shell: 1 });
  pool.redeem("module");
  await pool.close({ force: true });
  expect(pool.capacity()).toEqual({ module: 0, shell: 0 });
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
