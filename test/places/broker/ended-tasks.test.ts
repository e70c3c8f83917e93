/** Tasks that ended, or were given up, and are not forgotten yet. */
import { beforeEach, expect, it } from "vitest";
import { EndedTasks } from "../../../src/places/broker/ended-tasks.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

let clock: VirtualClock;
let ended: EndedTasks;
let heard: unknown[][];
beforeEach(() => {
  clock = new VirtualClock();
  ended = new EndedTasks(clock);
  heard = [];
});

const task = (id: string): never =>
  ({ id, late: (...given: unknown[]) => heard.push([id, ...given]) }) as never;

it("an end that was heard is kept until it is durable, or ten seconds are over", async () => {
  const settled: string[] = [];
  for (const id of ["a", "b"]) ended.hear(task(id), () => void settled.push(id));
  const durable = ended.durable("a")!;
  expect([ended.has("a"), ended.has("b"), ended.has("c")]).toEqual([true, true, false]);
  ended.settle(["a", "c"]);
  await durable;
  expect([settled, ended.has("a"), ended.durable("a")]).toEqual([["a"], false, undefined]);
  await clock.advance(9_999);
  expect(ended.has("b")).toBe(true);
  await clock.advance(1);
  expect([settled, ended.has("b")]).toEqual([["a", "b"], false]);
  ended.settle(["a", "b"]);
  expect(settled).toEqual(["a", "b"]);
});

it("a result of one that was given up is told once; its death is not", () => {
  const result = { ok: true, value: 1 };
  ended.giveUp(task("a"));
  ended.late("a", { kind: "died" } as never);
  ended.late("b", { kind: "result", result, durationMs: 5 } as never);
  expect(heard).toEqual([]);
  ended.late("a", { kind: "result", result, durationMs: 5 } as never);
  ended.late("a", { kind: "result", result, durationMs: 5 } as never);
  expect(heard).toEqual([["a", result, 5, clock.now()]]);
  ended.giveUp(task("c"));
  const staged = { ok: true, staged: { value: "large", files: ["f"] } };
  ended.late("c", { kind: "result", result: staged, durationMs: 5 } as never);
  expect(heard[1]).toEqual(["c", { ok: true, staged: { value: null, files: [] } }, 5, clock.now()]);
});

it("of those that were given up the newest 4,096 are remembered", () => {
  for (let nth = 0; nth < 4_097; nth += 1) ended.giveUp(task(`t${nth}`));
  const result = { kind: "result", result: { ok: true, value: 1 }, durationMs: 0 } as never;
  for (const id of ["t0", "t1", "t4096"]) ended.late(id, result);
  expect(heard.map(([id]) => id)).toEqual(["t1", "t4096"]);
});

it("is told nothing any more once it is closed", async () => {
  ended.hear(task("a"), () => void heard.push(["a"]));
  ended.giveUp(task("b"));
  ended.close();
  await clock.advance(20_000);
  ended.late("b", { kind: "result", result: { ok: true, value: 1 }, durationMs: 0 } as never);
  expect([heard, ended.has("a")]).toEqual([[], false]);
});
