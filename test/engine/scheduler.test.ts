/** When pipelines are told due, when the clock is told to have jumped, and how long it sleeps. */
import { expect, it } from "vitest";
import { EVE_MS, LONGEST_WAIT_MS, Scheduler, type ClockStep } from "../../src/engine/scheduler.ts";
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
  for (const due of [3_000, 2_001]) rig.scheduler.set("d", START + due);
  expect(rig.clock.timers).toBe(0);
  await rig.clock.advance(60_000);
  expect([rig.told.length, rig.clock.timers]).toEqual([2, 0]);
});

it("one that is stopped while it tells sets no other timer", async () => {
  const rig = new Rig();
  rig.onDue = () => rig.scheduler.stop();
  rig.scheduler.set("a", START + 1_000);
  rig.scheduler.set("b", START + 2_000);
  rig.scheduler.start();
  await rig.clock.advance(1_000);
  expect(rig.clock.timers).toBe(0);
  await rig.clock.advance(60_000);
  expect(rig.told.map(([keys]) => keys)).toEqual([["a"]]);
});

/** What is told of many keys, and when: `eve COUNT DUE` and `due COUNT`. */
function manyRig() {
  const clock = new VirtualClock({ start: START });
  const told: [string, number][] = [];
  const scheduler = new Scheduler(clock, {
    onDue: (keys, now) => void told.push([`due ${keys.length}`, now - START]),
    onStep: () => undefined,
    onEve: (keys, due) =>
      void told.push([`eve ${keys.length} ${due - START}`, clock.now() - START]),
  });
  const set = (many: number, due: number): void => {
    for (let nth = 0; nth < many; nth += 1) scheduler.set(`k${nth}`, START + due);
  };
  return { clock, told, scheduler, set };
}

it("says that many are due once, also where it wakes between for what is due no more", async () => {
  const { clock, told, scheduler, set } = manyRig();
  set(100, 10_000);
  scheduler.start();
  await clock.advance(10_000 - EVE_MS);
  scheduler.set("gone", START + 9_900);
  scheduler.set("gone", undefined);
  await clock.advance(EVE_MS);
  expect(told.map(([what]) => what)).toEqual(["eve 100 10000", "due 100"]);
});

it("says shortly before that many are due, once, and not where few of many are", async () => {
  const { clock, told, scheduler, set } = manyRig();
  set(100, 10_000);
  scheduler.set("few", START + 8_000);
  scheduler.start();
  await clock.advance(9_000);
  expect(told).toEqual([["due 1", 8_000]]);
  scheduler.set("few", START + 20_000);
  await clock.advance(11_000);
  expect(told.slice(1)).toEqual([
    ["eve 100 10000", 10_000 - EVE_MS],
    ["due 100", 10_000],
    ["due 1", 20_000],
  ]);
  expect(clock.timers).toBe(1);
});

it("says nothing of many where others were due a moment ago, or it is too late", async () => {
  const { clock, told, scheduler, set } = manyRig();
  set(100, EVE_MS - 1);
  scheduler.start();
  await clock.advance(1_000);
  set(100, 2_000);
  await clock.advance(1_000);
  set(100, 7_000);
  await clock.advance(5_000);
  expect(told).toEqual([
    ["due 100", EVE_MS - 1],
    ["due 100", 2_000],
    ["eve 100 7000", 7_000 - EVE_MS],
    ["due 100", 7_000],
  ]);
});
