import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { quickCalculator } from "../../src/views/quick-calculator.ts";
import { cronCalculator } from "../../src/core/schedule/cron-calculator.ts";
import { plainCron } from "../../src/core/schedule/plain-cron.ts";

const field = (least: number, most: number): fc.Arbitrary<string> => {
  const value = fc.integer({ min: least, max: most });
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const part = fc.oneof(
    value.map(String),
    range,
    fc.constant("*"),
    fc
      .tuple(fc.oneof(range, value.map(String), fc.constant("*")), fc.integer({ min: 1, max: 20 }))
      .map(([of, step]) => `${of}/${step}`),
  );
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    {
      weight: 4,
      arbitrary: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(",")),
    },
  );
};

/** Plain patterns, and some that are not. */
const pattern = fc
  .tuple(
    fc.option(field(0, 59)),
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12),
    field(0, 7),
    fc.integer({ min: 0, max: 9 }),
  )
  .map(([second, minute, hour, day, month, weekday, kind]) => {
    const days = kind < 4 ? [day, "*"] : kind < 8 ? ["*", weekday] : [day, weekday];
    return [...(second === null ? [] : [second]), minute, hour, days[0], month, days[1]].join(" ");
  });

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
  "America/Sao_Paulo",
  "Africa/Casablanca",
  "Pacific/Auckland",
];
const instant = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2037, 0, 1) });

const answer = (ask: () => number | undefined): number | string | undefined => {
  try {
    return ask();
  } catch {
    return "refused";
  }
};

describe("plain cron", () => {
  it("says what the calculator says, wherever it says anything", () => {
    let answered = 0;
    fc.assert(
      fc.property(pattern, instant, (text, after) => {
        const plain = plainCron(text);
        if (plain === undefined) return;
        const exact = answer(() => cronCalculator(text, "UTC").next(after));
        if (exact === "refused") return;
        answered += 1;
        expect(plain(after)).toBe(exact);
      }),
      { numRuns: 3_000 },
    );
    expect(answered).toBeGreaterThan(2_000);
  });

  it.each([
    "@daily",
    "0 0 L * *",
    "0 0 * * MON",
    "0 0 15W * *",
    "0 0 * * 5#2",
    "0 0 1 * +1",
    "0 0 ? * 1",
    "0 0 * * MON/2",
    "0 0 * * 7/2",
    "60 * * * *",
    "* * *",
    "* * * * * * *",
    "",
    "0 0 5-2 * *",
  ])("leaves %j to the calculator", (text) => {
    expect(plainCron(text)).toBeUndefined();
  });
});

describe("the quick calculator", () => {
  it("is the calculator in every zone, around every change of the clocks too", () => {
    fc.assert(
      fc.property(pattern, fc.constantFrom(...ZONES), instant, (text, zone, after) => {
        const exact = answer(() => cronCalculator(text, zone).next(after));
        if (exact === "refused") return;
        expect(quickCalculator(text, zone).next(after)).toBe(exact);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each(["30 2 * * *", "*/30 * * * *", "15 3 * * 0", "0 0 * * *", "0 1-3 * * *", "* * * * * *"])(
    "is the calculator for %j in each hour around Berlin's changes",
    (text) => {
      for (const change of [Date.UTC(2027, 2, 28, 1), Date.UTC(2027, 9, 31, 1)]) {
        for (let hour = -60; hour <= 60; hour += 1) {
          const after = change + hour * 3_600_000 + 1;
          expect(quickCalculator(text, "Europe/Berlin").next(after)).toBe(
            cronCalculator(text, "Europe/Berlin").next(after),
          );
        }
      }
    },
  );

  it("leaves TZ as it was", () => {
    const before = process.env["TZ"];
    quickCalculator("0 0 * * *", "Asia/Tokyo").next(Date.UTC(2026, 10, 23));
    expect(process.env["TZ"]).toBe(before);
  });
});
