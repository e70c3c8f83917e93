/** When pipelines are told due, when the clock is told to have jumped, and how long it sleeps. */
import { expect, it } from "vitest";
import { LONGEST_WAIT_MS, Scheduler, type ClockStep } from "../../src/engine/scheduler.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);

class Rig {
  readonly clock = new VirtualClock({ start: START });
  readonly told: [readonly string[], number][] = [];
  readonly steps: ClockStep[] = [];
  readonly wakes: number[] = [];
  /** What is done within onDue. */
  onDue: () => void = () => undefined;
  readonly scheduler = new Scheduler(this.clock, {
    onDue: (keys, now) => {
      this.told.push([[...keys].toSorted(), now - START]);
      this.onDue();
    },
    onStep: (step) => void this.steps.push(step),
    onWake: (now) => void this.wakes.push(now - START),
  });
}

it("tells what is due at its time, those of one moment together, each once", async () => {
  const rig = new Rig();
  rig.scheduler.set("a", START + 5_000);
  rig.scheduler.set("b", START + 5_000);
  rig.scheduler.set("c", START + 7_000);
  expect(rig.clock.timers).toBe(0);
  rig.scheduler.start();
  await rig.clock.advance(4_999);
  expect(rig.told).toEqual([]);
  await rig.clock.advance(60_000);
  expect(rig.told).toEqual([
    [["a", "b"], 5_000],
    [["c"], 7_000],
  ]);
  expect(rig.clock.timers).toBe(1);
});

it("a due time may come nearer, go away, or lie in the past, while it sleeps", async () => {
  const rig = new Rig();
  rig.scheduler.start();
  rig.scheduler.set("a", START + 20_000);
  rig.scheduler.set("a", START + 10_000);
  rig.scheduler.set("b", START + 9_000);
  rig.scheduler.set("b", undefined);
  await rig.clock.advance(9_500);
  expect(rig.told).toEqual([]);
  await rig.clock.advance(500);
  rig.scheduler.set("c", START - 1);
  await rig.clock.advance(0);
  expect(rig.told).toEqual([
    [["a"], 10_000],
    [["c"], 10_000],
  ]);
  await rig.clock.advance(30_000);
  expect(rig.told).toHaveLength(2);
});

it("what is set while it tells is told in its turn", async () => {
  const rig = new Rig();
  rig.onDue = () => {
    if (rig.told.length < 3) rig.scheduler.set("a", rig.clock.now() + 1_000);
  };
  rig.scheduler.set("a", START + 1_000);
  rig.scheduler.start();
  await rig.clock.advance(10_000);
  expect(rig.told.map(([, at]) => at)).toEqual([1_000, 2_000, 3_000]);
  expect(rig.clock.timers).toBe(1);
});

it("wakes every thirty seconds with nothing due", async () => {
  const rig = new Rig();
  rig.scheduler.start();
  await rig.clock.advance(3 * LONGEST_WAIT_MS);
  expect([LONGEST_WAIT_MS, rig.wakes]).toEqual([30_000, [30_000, 60_000, 90_000]]);
});

it.each([
  [1_000, true],
  [999, false],
  [-1_000, true],
  [-999, false],
  [3_600_000, true],
])("a clock that is set by %i ms has jumped: %s", async (by, jumped) => {
  const rig = new Rig();
  rig.scheduler.start();
  await rig.clock.advance(10_000);
  rig.clock.step(by);
  await rig.clock.advance(20_000);
  expect(rig.steps).toEqual(jumped ? [{ from: START + 30_000, to: START + 30_000 + by }] : []);
  // It counts from there: the same jump is not told again.
  await rig.clock.advance(60_000);
  expect(rig.steps).toHaveLength(jumped ? 1 : 0);
});

it("a jump is told before what it makes due, and counts from the start alone", async () => {
  const order: string[] = [];
  const clock = new VirtualClock({ start: START });
  const scheduler = new Scheduler(clock, {
    onDue: () => void order.push("due"),
    onStep: () => void order.push("step"),
    onWake: () => void order.push("wake"),
  });
  clock.step(5_000);
  await clock.advance(5_000);
  scheduler.set("a", START + 600_000);
  scheduler.start();
  await clock.advance(30_000);
  expect(order).toEqual(["wake"]);
  clock.step(600_000);
  await clock.advance(30_000);
  expect(order.slice(1)).toEqual(["step", "wake", "due"]);
});

it("a clock that was set back is waited for, though the timer comes", async () => {
  const rig = new Rig();
  rig.scheduler.set("a", START + 10_000);
  rig.scheduler.start();
  await rig.clock.advance(5_000);
  rig.clock.step(-20_000);
  await rig.clock.advance(24_999);
  expect(rig.told).toEqual([]);
  await rig.clock.advance(1);
  expect(rig.told).toEqual([[["a"], 10_000]]);
});

it("goes on after a handler that throws, and is silent once it is stopped", async () => {
  const rig = new Rig();
  rig.onDue = () => {
    rig.onDue = () => undefined;
    throw new Error("no");
  };
  rig.scheduler.set("a", START + 1_000);
  rig.scheduler.set("b", START + 2_000);
  rig.scheduler.start();
  await expect(rig.clock.advance(1_000)).rejects.toThrow("no");
  await rig.clock.advance(1_000);
  expect(rig.told.map(([keys]) => keys)).toEqual([["a"], ["b"]]);
  rig.scheduler.set("c", START + 3_000);
  rig.scheduler.stop();
  rig.scheduler.set("d", START + 3_000);
  await rig.clock.advance(60_000);
  expect([rig.told.length, rig.clock.timers]).toEqual([2, 0]);
});
