import { describe, expect, it } from "vitest";
import type { CacheFunctionTask } from "../../src/core/task.ts";
import { awaitTask, resultOf, runTask, type TaskEnd } from "../../src/places/run-task.ts";
import { fakeCode, FakePool } from "../support/fake-pool.ts";

const task: CacheFunctionTask = {
  kind: "cacheFunction",
  code: fakeCode("f"),
  params: {},
  inputs: {},
  run: { id: "p@1", pipeline: "p", attempt: 1 },
  env: {},
  gracePeriodMs: 0,
};
const output = (): void => undefined;

/** How a task ends if its runner dies like this. */
function endOf(
  death: { readonly alone: boolean; readonly inFlight: readonly string[] },
  alone = false,
): TaskEnd {
  const ends: TaskEnd[] = [];
  const place = new FakePool({ f: () => new Promise(() => {}) });
  runTask(place, { id: "a", task, alone, output }, (end) => ends.push(end));
  const { handlers } = place.running.get("a")!;
  handlers.died({ ...death, because: "the runner died", code: "ORCHD_RUNNER_DIED" });
  expect(ends).toHaveLength(1);
  return ends[0]!;
}

describe("a task whose runner died", () => {
  it("is lost where another may be to blame", () => {
    expect(endOf({ alone: false, inFlight: ["a", "b"] }).kind).toBe("lost");
  });

  it("ended its runner itself where it was alone, or nothing else was in flight", () => {
    expect(endOf({ alone: false, inFlight: ["a"] }).kind).toBe("ownDeath");
    expect(endOf({ alone: true, inFlight: ["a", "b"] }).kind).toBe("ownDeath");
    expect(endOf({ alone: false, inFlight: ["a", "b"] }, true).kind).toBe("ownDeath");
  });

  it("has the error that its starter says", () => {
    const end = endOf({ alone: false, inFlight: ["a", "b"] });
    const result = resultOf(end, ({ because, code }) => ({ name: "E", message: because, code }));
    expect(result).toEqual({
      ok: false,
      outcome: "failed",
      error: { name: "E", message: "the runner died", code: "ORCHD_RUNNER_DIED" },
    });
  });
});

describe("a task that cannot be started", () => {
  const closed = (): FakePool => Object.assign(new FakePool(), { closed: true });

  it("ends as unstarted, with a failed result", () => {
    const ends: TaskEnd[] = [];
    runTask(closed(), { id: "a", task, output }, (end) => ends.push(end));
    expect(ends.map(({ kind }) => kind)).toEqual(["unstarted"]);
    expect(resultOf(ends[0]!, () => ({ name: "", message: "" }))).toMatchObject({
      ok: false,
      outcome: "failed",
      error: { message: "closed" },
    });
  });

  it("rejects where its end is awaited", async () => {
    await expect(awaitTask(closed(), { id: "a", task, output })).rejects.toThrow("closed");
  });
});

it("a task that ends by itself has its result", async () => {
  const place = new FakePool({ f: () => 7 });
  expect(await awaitTask(place, { id: "a", task, output })).toEqual({
    kind: "result",
    result: { ok: true, value: 7 },
    durationMs: 1,
  });
});
