/** What a runner says while nobody takes it: printers wait, and all is said once somebody does. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import { RunnerOutbox } from "../../src/places/runner/runner-outbox.ts";

it("holds printers and shells back while the daemon takes no more, then lets them go", async () => {
  const said: FromRunner[][] = [];
  const read: boolean[] = [];
  let isTaken = true;
  let heard = 0;
  const thread = { heard: () => void (heard += 1) };
  const outbox = new RunnerOutbox({
    send: (batch) => said.push(batch) > 0 && isTaken,
    firsts: () => [],
    endsSoon: () => false,
    readShells: (isRead) => void read.push(isRead),
  });
  const print = async (): Promise<void> => {
    outbox.output("a@1#2", "", "stdout", ["line"]);
    outbox.printed(thread);
    await nextTurn();
  };
  await print();
  expect([heard, read]).toEqual([1, []]);
  isTaken = false;
  await print();
  expect([heard, read]).toEqual([2, [false]]);
  await print();
  await print();
  expect([heard, read]).toEqual([2, [false]]);
  isTaken = true;
  outbox.release();
  expect([heard, read]).toEqual([4, [false, true]]);
  outbox.release();
  expect(read).toEqual([false, true]);
  expect(said).toHaveLength(4);
});

/** An outbox over a wire that takes all, and what it said, batch by batch. */
function open(firsts: () => readonly string[] = () => [], endsSoon = () => false) {
  const said: FromRunner[][] = [];
  const outbox = new RunnerOutbox({
    send: (batch) => void said.push(batch),
    firsts,
    endsSoon,
    readShells: () => undefined,
  });
  return { outbox, said };
}
const aside = (id: string): FromRunner => ({
  type: "aside",
  id,
  beside: [],
  because: "",
  code: "",
});

it("says all of a turn in one batch, in its order", async () => {
  const { outbox, said } = open();
  outbox.say(aside("a"));
  outbox.output("b", "now", "stderr", ["x", "y"]);
  outbox.say(aside("c"));
  expect(said).toEqual([]);
  await nextTurn();
  const printed = { type: "output", id: "b", at: "now", stream: "stderr", lines: ["x", "y"] };
  expect(said).toEqual([[aside("a"), printed, aside("c")]]);
  await nextTurn();
  outbox.say(aside("d"));
  await nextTurn();
  expect(said.slice(1)).toEqual([[aside("d")]]);
});

it.each([
  [2_000, [2_000]],
  [2_001, [2_000, 1]],
  [4_000, [2_000, 2_000]],
])("says %i short lines in messages of at most 2,000", async (count, sizes) => {
  const { outbox, said } = open();
  const lines = Array.from({ length: count }, (_, n) => String(n));
  outbox.output("a", "", "stdout", lines);
  await nextTurn();
  const told = said.flatMap((batch) =>
    batch.map((one) => (one.type === "output" ? one.lines : [])),
  );
  expect(told.map(({ length }) => length)).toEqual(sizes);
  expect(told.flat()).toEqual(lines);
  // Several messages are no batch that the daemon takes in at once.
  expect(said).toHaveLength(sizes.length);
});

it("says long lines in batches of which each is taken in quickly", async () => {
  const { outbox, said } = open();
  const long = "x".repeat(64 * 1024);
  const lines = Array.from({ length: 100 }, (_, n) => `${n}${long}`);
  outbox.output("a", "", "stdout", lines.slice(0, 60));
  for (const text of lines.slice(60)) outbox.output("a", "", "stdout", [text]);
  await nextTurn();
  const told = said.map((batch) =>
    batch.flatMap((one) => (one.type === "output" ? one.lines : [])),
  );
  expect(told.flat()).toEqual(lines);
  expect(Math.max(...told.map(({ length }) => length))).toBeLessThanOrEqual(5);
});

it("says calls at once where they are long together", async () => {
  const { outbox, said } = open();
  const call = (n: number): FromRunner => ({ type: "call", id: "a", call: n }) as never;
  outbox.call(call(1), 262_144);
  expect(said).toEqual([]);
  outbox.call(call(2), 1);
  expect(said).toEqual([[call(1), call(2)]]);
  // It is counted anew.
  outbox.call(call(3), 262_144);
  expect(said).toHaveLength(1);
  await nextTurn();
  expect(said.slice(1)).toEqual([[call(3)]]);
});

it("says which tasks have begun with the next batch, and not what was said last", async () => {
  let firsts: readonly string[] = [];
  const { outbox, said } = open(() => firsts);
  const say = async (...ids: string[]): Promise<FromRunner[]> => {
    firsts = ids;
    outbox.say(aside("x"));
    await nextTurn();
    return said.at(-1)!.slice(1);
  };
  expect(await say()).toEqual([]);
  expect(await say("a", "b")).toEqual([{ type: "begun", ids: ["a", "b"] }]);
  expect(await say("a", "b")).toEqual([]);
  expect(await say("b", "a")).toEqual([{ type: "begun", ids: ["b", "a"] }]);
  expect(await say()).toEqual([]);
  // It is said again where none was meanwhile.
  expect(await say("b", "a")).toEqual([{ type: "begun", ids: ["b", "a"] }]);
});

const good = (id: string): FromRunner => ({
  type: "done",
  id,
  result: { ok: true, json: "null" },
  durationMs: 0.01,
  startedAt: 0,
});
const idsOf = (batch: readonly FromRunner[]): unknown[] =>
  batch.map((one) => ("id" in one ? one.id : one.type));

/** An outbox of threads that are about to end more, and the milliseconds that pass by hand. */
function openAmong(state: { more: boolean }) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { outbox, said } = open(undefined, () => state.more);
  const say = async (...messages: FromRunner[]): Promise<void> => {
    for (const message of messages) outbox.say(message);
    await nextTurn();
  };
  return { say, said: () => said.map(idsOf) };
}

it("has good ends wait for those that come soon, and says them together", async () => {
  const state = { more: true };
  const { say, said } = openAmong(state);
  await say(good("a"));
  await say(good("b"));
  expect(said()).toEqual([]);
  state.more = false;
  await say(good("c"));
  expect(said()).toEqual([["a", "b", "c"]]);
  // Nothing is said by the millisecond that was waited for.
  vi.advanceTimersByTime(5);
  await say(good("d"));
  expect(said()).toEqual([["a", "b", "c"], ["d"]]);
});

it("has them wait for a millisecond at most, and for 32 at most", async () => {
  const { say, said } = openAmong({ more: true });
  await say(good("a"));
  vi.advanceTimersByTime(1);
  expect(said()).toEqual([["a"]]);
  await say(...Array.from({ length: 31 }, (_, n) => good(String(n))));
  expect(said()).toHaveLength(1);
  await say(good("last"));
  expect(said()[1]).toHaveLength(32);
});

it.each<[string, FromRunner]>([
  ["a bad end", { ...good("x"), result: { ok: false, error: { name: "", message: "" } } } as never],
  ["a call", { type: "call", id: "x", call: 1, method: "m", argument: null }],
  ["output", { type: "output", id: "x", at: "", stream: "stdout", lines: ["l"] }],
])("has %s wait for nothing, nor the ends before it", async (_what, message) => {
  const { say, said } = openAmong({ more: true });
  await say(good("a"));
  await say(message, good("b"));
  expect(said()).toEqual([["a", "x", "b"]]);
  // The next ends may wait again.
  await say(good("c"));
  expect(said()).toHaveLength(1);
});
