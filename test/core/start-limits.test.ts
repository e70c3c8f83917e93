/** Which waits are over, against a list that is read whole each time. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { StartLimits } from "../../src/core/start-limits.ts";

const ACT = fc.oneof(
  fc.record({ set: fc.nat(20), end: fc.nat(50) }),
  fc.record({ delete: fc.nat(20) }),
  fc.record({ begin: fc.nat(40) }),
);

it("says the same as a list, whatever came", () => {
  fc.assert(
    fc.property(fc.array(ACT, { maxLength: 120 }), fc.nat(60), (acts, now) => {
      const limits = new StartLimits();
      const plain = new Map<string, number>();
      for (const act of acts) {
        if ("set" in act) {
          limits.set(`s${act.set}`, act.end);
          plain.set(`s${act.set}`, act.end);
        } else if ("delete" in act) {
          limits.delete(`s${act.delete}`);
          plain.delete(`s${act.delete}`);
        } else {
          limits.begin(act.begin, () => 5);
          for (const [step, end] of plain) plain.set(step, Math.max(end, act.begin + 5));
        }
      }
      const { steps, next } = limits.over(now);
      const all = [...plain];
      expect(limits.size).toBe(plain.size);
      expect(steps.toSorted()).toEqual(
        all.flatMap(([step, end]) => (end <= now ? [step] : [])).toSorted(),
      );
      // An old entry may wake a plan too early, and never too late.
      const wanted = Math.min(...all.flatMap(([, end]) => (end > now ? [end] : [])));
      expect(next).toBeLessThanOrEqual(wanted);
      expect(next).toBeGreaterThan(now);
    }),
  );
});

it("gives what is over in order, and costs nothing for what is not", () => {
  const limits = new StartLimits();
  for (let n = 0; n < 10_000; n += 1) limits.set(`s${n}`, 1_000 + (n % 100));
  expect(limits.over(999)).toEqual({ steps: [], next: 1_000 });
  const { steps, next } = limits.over(1_001);
  expect([steps.length, next]).toEqual([200, 1_002]);
  expect(steps.slice(0, 100).every((step) => step.endsWith("00") || step === "s0")).toBe(true);
});
