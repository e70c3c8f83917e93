import { describe, expect, it } from "vitest";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import type { Json, Snapshot } from "../../src/core/snapshot.ts";
import type { HookTask } from "../../src/core/task.ts";
import { callMissedHook } from "../../src/engine/missed-hook.ts";
import { silentLog } from "../../src/log.ts";
import { fakeCode, FakePool, type FakeFunction } from "../support/fake-pool.ts";
import { snapshotOf } from "../support/given-run.ts";

const TOLD = { slot: "2026-11-23T02:00:00.000Z", because: "the daemon was down" };
const SLOT = { type: "slot.missed", ...TOLD } as const;

/** Calls the hook of a pipeline, and waits for what the log has about it. */
function call(
  hook: FakeFunction | undefined,
  missed: Parameters<typeof callMissedHook>[1],
  more: Partial<Snapshot> = {},
  params: { readonly [name: string]: Json } = { a: 1 },
): { readonly pool: FakePool; readonly log: unknown[]; readonly ended: Promise<unknown> } {
  const pool = new FakePool(hook === undefined ? {} : { hook });
  const log: unknown[] = [];
  const note = (fields: object, message: string): void => void log.push([fields, message]);
  const snapshot = snapshotOf([], {
    env: { OWN: "1", KEY: { secret: "key" } },
    hooks: hook === undefined ? {} : { onMissed: fakeCode("hook") },
    ...more,
  });
  const ended = new Promise((resolve) => pool.onCapacity(() => resolve(undefined)));
  callMissedHook({ name: "p", snapshot, params } as unknown as LoadedPipeline, missed, {
    place: pool,
    log: { ...silentLog, info: note, error: note },
    secrets: { get: (name) => `value of ${name}` },
    environment: { PATH: "/bin", OTHER: "no" },
    settingsEnv: () => ({ ALL: "2" }),
  });
  return { pool, log, ended };
}

describe("the onMissed hook", () => {
  it("is told which slots were missed and why, with the pipeline's environment", async () => {
    const { pool, log, ended } = call(({ print }) => print("hello"), [SLOT]);
    await ended;
    const { id, task } = pool.started[0]!;
    expect(id).toMatch(/^p#onMissed-\d+$/);
    expect(task).toMatchObject({
      env: { PATH: "/bin", ALL: "2", OWN: "1", KEY: "value of key", ORCHD_PIPELINE: "p" },
      secrets: ["value of key"],
      because: "the daemon was down",
      slots: [TOLD],
      params: { a: 1 },
    });
    expect((task as HookTask).env["OTHER"]).toBeUndefined();
    expect(log).toEqual([[{ pipeline: "p", hook: "onMissed", stream: "stdout" }, "hello"]]);
  });

  it("has orchd.yaml's env as it was when the version was loaded, as other hooks", () => {
    const { pool } = call(() => null, [SLOT], { baseEnv: { ALL: "1", BASE: "${run.id}" } });
    const { env } = pool.started[0]!.task as HookTask;
    expect(env).toMatchObject({ ALL: "1", BASE: "p#onMissed", OWN: "1" });
  });

  it("has the run's words and secrets filled in, in its environment and its params", () => {
    const last = { ...SLOT, slot: "2026-11-23T03:00:00.000Z" };
    const range = { ...SLOT, slot: last.slot, until: "2026-11-23T09:00:00.000Z" };
    const texts = { ID: "of ${run.id}", AT: "${run.scheduledFor}", PLAIN: "$${run.id}" };
    const params = { ...texts, key: { secret: "key" }, list: ["${run.id}"] };
    for (const [missed, at] of [
      [[SLOT], SLOT.slot],
      [[SLOT, last], last.slot],
      [[SLOT, range], range.until],
    ] as const) {
      const { pool } = call(
        () => null,
        missed,
        { env: texts, stackEnv: { RAW: "${run.id}" } },
        params,
      );
      const task = pool.started[0]!.task as HookTask;
      const filled = { ID: "of p#onMissed", AT: at, PLAIN: "${run.id}" };
      expect(task.env).toMatchObject({ ...filled, RAW: "${run.id}" });
      expect(task.params).toEqual({ ...filled, key: "value of key", list: ["p#onMissed"] });
      expect(task.secrets).toEqual(["value of key"]);
    }
  });

  it("is told of 1,000 slots at most, and of how many there were", () => {
    const { pool } = call(
      () => null,
      Array.from({ length: 1_500 }, () => SLOT),
    );
    const task = pool.started[0]!.task as HookTask;
    expect(task.slots).toHaveLength(1_000);
    expect(task.because).toBe("1,500 slots were missed; the last: the daemon was down");
  });

  it("is logged where it throws, and where its runner dies", async () => {
    const fields = { pipeline: "p", hook: "onMissed" };
    const failed = "the onMissed hook of pipeline p failed:";
    const thrown = call(() => {
      throw new Error("no");
    }, [SLOT]);
    await thrown.ended;
    expect(thrown.log).toEqual([[fields, `${failed} no`]]);
    const died = call(() => new Promise(() => {}), [SLOT]);
    died.pool.die();
    expect(died.log).toEqual([
      [fields, `${failed} the runner was ended by SIGKILL (ORCHD_RUNNER_DIED)`],
    ]);
  });

  it("is not called where there is none, or nothing was missed", () => {
    expect(call(undefined, [SLOT]).pool.started).toEqual([]);
    expect(call(() => null, []).pool.started).toEqual([]);
  });
});
