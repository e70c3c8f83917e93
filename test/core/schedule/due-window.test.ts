/** Slots with jitter: the same as when all are computed and sorted, and each looked at once. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cronCalculator } from "../../../src/core/schedule/cron-calculator.ts";
import { DueWindow } from "../../../src/core/schedule/due-window.ts";
import { byDue, jitterOf, timetable, type DueSlot } from "../../../src/core/schedule/schedule.ts";
import { scheduleOf } from "../../support/given-schedule.ts";

const FROM = Date.UTC(2026, 10, 23, 2);
const END = FROM + 3_600_000;

/** All slots of a schedule around an hour, by due time: computed one by one, and sorted. */
function naive(
  pipeline: string,
  cron: string,
  jitterSeconds: number,
): [slot: number, due: number][] {
  const all: [slot: number, due: number][] = [];
  const calculator = cronCalculator(cron, "UTC");
  for (let slot = calculator.next(FROM - 900_000); slot! < END + 900_000;) {
    all.push([slot!, slot! + jitterOf(pipeline, slot!, jitterSeconds)]);
    slot = calculator.next(slot!);
  }
  return all.toSorted((a, b) => a[1] - b[1] || a[0] - b[0]);
}

type DueAt = Pick<DueSlot, "slot" | "due">;

const short = (slots: readonly (DueSlot | undefined)[]): (readonly [number, number])[] =>
  slots.flatMap((slot) => (slot === undefined ? [] : [[slot.slot, slot.due] as const]));

describe("a schedule with jitter", () => {
  it("is asked in any order, and gives what all its slots, sorted, give", () => {
    const question = fc.record({
      kind: fc.constantFrom("next", "due", "newest"),
      from: fc.nat({ max: 3_000_000 }),
      length: fc.nat({ max: 400_000 }),
      limit: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom("*/7 * * * * *", "* * * * *", "*/5 * * * *", "13 * * * *"),
        fc.integer({ min: 1, max: 600 }),
        fc.array(question, { minLength: 1, maxLength: 8 }),
        (cron, jitterSeconds, questions) => {
          const table = timetable("p", [scheduleOf({ cron, jitterSeconds })]);
          const all = naive("p", cron, jitterSeconds);
          for (const { kind, from: after, length, limit } of questions) {
            const from = FROM + after;
            const to = from + length;
            const within = all.filter(([, due]) => due > from && due <= to);
            if (kind === "due")
              expect(short(table.dueSlots(from, to, limit))).toEqual(within.slice(0, limit));
            else if (kind === "newest")
              expect(short([table.newest(from, to)])).toEqual(within.slice(-1));
            else
              expect(short([table.next(from)])).toEqual(
                all.filter(([, due]) => due > from).slice(0, 1),
              );
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("has no slot the less where one is due in the very moment of the next", () => {
    // By their hashes the first is due a whole second after itself, and the second at once.
    const second = Date.parse("2026-01-03T05:46:12Z");
    const first = second - 1_000;
    expect([jitterOf("p", first, 1), jitterOf("p", second, 1)]).toEqual([1_000, 0]);
    const table = timetable("p", [scheduleOf({ cron: "* * * * * *", jitterSeconds: 1 })]);
    expect(short(table.dueSlots(second - 1, second))).toEqual([
      [first, second],
      [second, second],
    ]);
    expect(short([table.newest(second - 60_000, second)])).toEqual([[second, second]]);
  });

  it("has each slot once, however many are due in one moment", () => {
    const reach = 4;
    const apart = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat({ max: reach }));
    fc.assert(
      fc.property(fc.array(apart, { maxLength: 24 }), fc.boolean(), (gaps, moves) => {
        let slot = 0;
        const slots = gaps.map(([gap, late]) => ({ slot: (slot += gap), due: slot + late }));
        const order = (a: DueAt, b: DueAt): number => a.due - b.due || a.slot - b.slot;
        const window = new DueWindow(slots.values(), 0, reach, order);
        const given: DueAt[] = [];
        for (let now = 1; now <= slot + reach; now += 1) {
          for (let next = window.first(now); next !== undefined && next.due <= now;) {
            given.push(next);
            window.take();
            next = window.first(now);
          }
          if (moves) window.moveTo(now);
        }
        expect(given).toEqual(slots.toSorted(order));
      }),
    );
  });

  it("of a day on every second looks at each slot once, however often it is asked", () => {
    let asked = 0;
    const table = timetable(
      "p",
      [scheduleOf({ cron: "* * * * * *", jitterSeconds: 86_400 })],
      undefined,
      (pattern, timezone) => ({
        next: (after) => {
          asked += 1;
          return cronCalculator(pattern, timezone).next(after);
        },
      }),
    );
    let last: DueSlot | undefined;
    for (let count = 0; count < 200; count += 1) {
      const next = table.next(last?.due ?? FROM)!;
      const together = table.dueSlots(next.due - 1, next.due);
      expect(together[0]).toEqual(next);
      if (last !== undefined) expect(byDue(last, next)).toBeLessThan(0);
      last = next;
    }
    // A day of seconds, and the few minutes that were gone over.
    expect(asked).toBeLessThan(86_400 + 1_200);
  });
});
