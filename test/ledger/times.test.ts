/** Moments that are kept in little room, held against a plain set. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Times } from "../../src/ledger/times.ts";

it("has each moment that was added, and no other, whatever their order", () => {
  const moment = fc.integer({ min: 0, max: 12 });
  fc.assert(
    fc.property(fc.array(fc.array(moment, { maxLength: 8 }), { maxLength: 5 }), (rounds) => {
      const times = new Times();
      const plain = new Set<number>();
      for (const round of rounds) {
        for (const time of round) {
          times.add(time);
          plain.add(time);
        }
        // What is asked in between must not harm what is added later.
        for (let time = -1; time <= 13; time += 1) expect(times.has(time)).toBe(plain.has(time));
      }
    }),
  );
});
