/** What a worker remembers of tasks, and of how many. */
import { expect, it } from "vitest";
import { KnownTasks } from "../../src/worker/known-tasks.ts";

it("a task is heard of for the first time once, and begins when the daemon lets it", () => {
  const known = new KnownTasks();
  expect(known.hasBegun("a")).toBe(false);
  expect([known.hear("a"), known.hear("a")]).toEqual([true, false]);
  expect(known.hasBegun("a")).toBe(false);
  known.begins("a");
  expect([known.hasBegun("a"), known.hear("a")]).toEqual([true, false]);
  // It is let begin before anything else is heard of it.
  known.begins("b");
  expect([known.hasBegun("b"), known.hear("b")]).toEqual([true, false]);
});

it("the last 10,000 tasks are remembered, and the one that was heard of first goes first", () => {
  const known = new KnownTasks();
  for (let n = 0; n < 10_000; n += 1) known.hear(`t${n}`);
  expect(known.hear("t0")).toBe(false);
  // One that is known takes nobody's place.
  known.begins("t9999");
  expect(known.hear("t0")).toBe(false);
  known.hear("t10000");
  expect([known.hear("t1"), known.hear("t9999")]).toEqual([false, false]);
  expect(known.hear("t0")).toBe(true);
  expect(known.hear("t1")).toBe(true);
});
