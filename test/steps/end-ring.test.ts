/** The ring by which a thread tells quick ends: what it takes and refuses, and its going round. */
import { beforeEach, expect, it } from "vitest";
import { END_RING_BYTES, EndRing } from "../../src/steps/end-ring.ts";

let memory: SharedArrayBuffer;
/** The thread's side, and the main thread's. */
let thread: EndRing;
let main: EndRing;

beforeEach(() => {
  memory = new SharedArrayBuffer(END_RING_BYTES);
  thread = new EndRing(memory);
  main = new EndRing(memory);
});

const add = (seq: number, json = "null", now = 0): boolean =>
  thread.add(seq, json, 1_764_000_000_000.5 + seq, seq / 8, now);

it("gives what was put in, once and in order", () => {
  expect(main.take()).toBeUndefined();
  expect([add(7), add(9, '{"a":"~"}')]).toEqual([true, true]);
  expect(main.take()).toEqual({
    seq: 7,
    json: "null",
    startedAt: 1_764_000_000_007.5,
    durationMs: 0.875,
  });
  expect(main.take()).toMatchObject({ seq: 9, json: '{"a":"~"}' });
  expect(main.take()).toBeUndefined();
});

it("goes round, also where its counts do", () => {
  // Five before the counts begin again with negative numbers, and five before zero.
  for (const from of [2 ** 31 - 5, -5]) {
    new Int32Array(memory, 0, 2).fill(from);
    for (let seq = 1; seq <= 200; seq += 1) {
      expect(add(seq, `${seq}`)).toBe(true);
      thread.said();
      if (seq % 20 !== 0) continue;
      for (let was = seq - 19; was <= seq; was += 1)
        expect(main.take()).toMatchObject({ seq: was, json: `${was}` });
      expect(main.take()).toBeUndefined();
    }
  }
});

it("takes no more than there is room for, and none over another", () => {
  let taken = 0;
  while (add(taken + 1)) {
    taken += 1;
    thread.said();
  }
  expect(taken).toBe(64);
  expect(main.take()).toMatchObject({ seq: 1 });
  expect([add(65), add(66)]).toEqual([true, false]);
  for (let seq = 2; seq <= 65; seq += 1) expect(main.take()).toMatchObject({ seq });
  expect(main.take()).toBeUndefined();
});

it("has the main thread told after 32 ends, or 2 ms after the first", () => {
  expect(thread.hasUnsaid).toBe(false);
  for (let seq = 1; seq <= 32; seq += 1) expect(add(seq)).toBe(true);
  expect([thread.hasUnsaid, add(33)]).toEqual([true, false]);
  thread.said();
  expect([thread.hasUnsaid, add(33, "null", 10), add(34, "null", 12)]).toEqual([false, true, true]);
  expect(add(35, "null", 12.5)).toBe(false);
});

it("refuses a result that is long, or not of ASCII", () => {
  expect([add(1, "x".repeat(105)), add(1, '"ä"'), add(1, '"\u007f"')]).toEqual([
    false,
    false,
    true,
  ]);
  expect(add(2, "x".repeat(104))).toBe(true);
  expect(main.take()).toMatchObject({ seq: 1, json: '"\u007f"' });
  expect(main.take()).toMatchObject({ seq: 2, json: "x".repeat(104) });
});
