/** Keys and their times, against a list that is read whole each time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TimedKeys } from "../../src/core/timed-keys.ts";

const KEY = fc.nat(6);
const ACT = fc.oneof(
  fc.record({ set: KEY, time: fc.nat(20) }),
  fc.record({ delete: KEY }),
  fc.record({ move: fc.nat(20) }),
  fc.record({ take: fc.nat(20) }),
);

describe("timed keys", () => {
  it("say the same as a list, whatever came", () => {
    fc.assert(
      fc.property(fc.array(ACT, { maxLength: 200, size: "max" }), fc.nat(25), (acts, now) => {
        const keys = new TimedKeys();
        const plain = new Map<string, number>();
        const over = (at: number): string[] =>
          [...plain].flatMap(([key, time]) => (time <= at ? [key] : []));
        for (const act of acts) {
          if ("set" in act) {
            keys.set(`k${act.set}`, act.time);
            plain.set(`k${act.set}`, act.time);
          } else if ("delete" in act) {
            keys.delete(`k${act.delete}`);
            plain.delete(`k${act.delete}`);
          } else if ("move" in act) {
            keys.move((_, time) => Math.max(time, act.move));
            for (const [key, time] of plain) plain.set(key, Math.max(time, act.move));
          } else {
            const due = over(act.take);
            const taken = keys.take(act.take);
            const times = taken.map((key) => plain.get(key)!);
            expect(taken.toSorted()).toEqual(due.toSorted());
            expect(times).toEqual(times.toSorted((a, b) => a - b));
            for (const key of due) plain.delete(key);
          }
          expect(keys.size).toBe(plain.size);
          const first = Math.min(...plain.values());
          expect(keys.first() ?? Number.POSITIVE_INFINITY).toBe(first);
        }
        const { keys: found, next } = keys.over(now);
        expect(found.toSorted()).toEqual(over(now).toSorted());
        // An old entry may wake somebody too early, and never too late.
        const wanted = Math.min(...[...plain.values()].filter((time) => time > now));
        expect(next).toBeLessThanOrEqual(wanted);
        expect(next).toBeGreaterThan(now);
      }),
    );
  });

  it("give a key once that was deleted and has the same time again", () => {
    const keys = new TimedKeys();
    keys.set("a", 5);
    keys.delete("a");
    keys.set("a", 5);
    expect(keys.over(5).keys).toEqual(["a"]);
    keys.set("a", 7);
    keys.set("a", 5);
    expect(keys.over(9).keys).toEqual(["a"]);
    expect(keys.take(9)).toEqual(["a"]);
    expect(keys.take(9)).toEqual([]);
  });

  it("give what is over in order, and cost nothing for what is not", () => {
    const keys = new TimedKeys();
    for (let n = 0; n < 10_000; n += 1) keys.set(`s${n}`, 1_000 + (n % 100));
    expect(keys.over(999)).toEqual({ keys: [], next: 1_000 });
    const { keys: over, next } = keys.over(1_001);
    expect([over.length, next]).toEqual([200, 1_002]);
    expect(over.slice(0, 100).every((key) => key.endsWith("00") || key === "s0")).toBe(true);
    expect(keys.size).toBe(10_000);
  });

  it("take as many bytes for a key whose time changes ever so often", () => {
    const keys = new TimedKeys();
    keys.set("first", 0);
    const before = process.memoryUsage().heapUsed;
    for (let time = 2_000_000; time > 1_000_000; time -= 1) keys.set("often", time);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40e6);
    expect(keys.take(0)).toEqual(["first"]);
    expect(keys.first()).toBe(1_000_001);
  });
});
