/**
 * Which texts are accepted as cron patterns, what is said about the others, and that no text takes
 * long (promise 18).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cronCalculator } from "../../../src/core/schedule/cron-calculator.ts";
import { checkCron, cronWarnings } from "../../../src/core/schedule/cron-check.ts";
import { HOSTILE_FIELDS } from "../../support/hostile-cron.ts";

const now = Date.UTC(2026, 10, 24);

it.each([
  "* * * * *",
  "*/5 * * * *",
  "0 0 * * * *",
  "30 2 * JAN-MAR MON",
  "0 0 L * *",
  "0 0 15W * *",
  "0 0 * * 5#3",
  "0 0 * * 5L",
  "0 0 1 * +1",
  "0\t0 ? * 1",
  " 5  4 * * * ",
])("takes %s", (text) => {
  expect(checkCron(text)).toMatchObject({ ok: true });
});

it("writes nicknames out", () => {
  expect(checkCron("@daily")).toEqual({ ok: true, pattern: "0 0 * * *" });
  expect(checkCron("@Hourly")).toEqual({ ok: true, pattern: "0 * * * *" });
});

describe("refuses with a sentence", () => {
  it.each([
    ["61 * * * *", /invalid value for minute: 61 \(minutes are 0-59\)/],
    ["* 24 * * *", /hours are 0-23/],
    ["* * * 13 *", /months are 1-12/],
    ["* * * * 8", /days of the week/],
    ["* * * *", /4 fields; a pattern has five/],
    ["* * * * * * *", /seven fields/],
    ["", /empty/],
    ["0 0 30 2 *", /never fires/],
    ["0 0 31 4,6,9,11 *", /never fires/],
    ["@every 5m", /intervalSeconds/],
    ["@reboot", /not a time/],
    ["@dayly", /@daily/],
    ["2026-12-01T00:00:00Z", /runOnceAt/],
    ["*/5 * : * * *", /illegal characters/],
    ["2026-12-01 00:00:00 * * *", /illegal/],
    ["H * * * *", /jitterSeconds/],
    ["*/0 * * * *", /stepping/],
    ["1-0 * * * *", /larger/],
    ["a b c d e", /no cron pattern/],
    ["* * * * *\u0007", /character/],
    ["١ * * * *", /character/],
    ["*".repeat(257), /256/],
  ])("%j", (text, message) => {
    expect(checkCron(text)).toMatchObject({
      ok: false,
      message: expect.stringMatching(message) as string,
    });
  });
});

describe("warns", () => {
  it.each([
    ["* * * * * *", "UTC", /seconds/],
    ["0 0 1 * 1", "UTC", /either/],
    ["0 0 29 2 *", "UTC", /hardly ever fires: the next time is 2028-02-29/],
    ["0 0 29 2 *", "Europe/Berlin", /hardly ever fires: the next time is 2028-02-29/],
    [
      "30 2 * * *",
      "Europe/Berlin",
      new RegExp(
        "does not exist on 2027-03-28: " +
          "clocks in Europe/Berlin pass over 02:30, and it runs at 03:00",
      ),
    ],
  ])("of %s in %s", (pattern, zone, message) => {
    expect(cronWarnings(pattern, zone, now)).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    ["0 0 1 * +1", "UTC"],
    ["*/5 * * * *", "Europe/Berlin"],
    ["30 2 * * *", "UTC"],
    ["30 3 * * *", "Europe/Berlin"],
    ["30 2 * 7 *", "Europe/Berlin"],
    ["0 0 * * 1", "UTC"],
  ])("not of %s in %s", (pattern, zone) => {
    expect(cronWarnings(pattern, zone, now)).toEqual([]);
  });
});

describe("a hostile text", () => {
  const field = fc.oneof(fc.constantFrom(...HOSTILE_FIELDS), fc.string({ maxLength: 12 }));
  const text = fc.oneof(
    fc.array(field, { minLength: 1, maxLength: 8 }).map((fields) => fields.join(" ")),
    fc.string({ maxLength: 300 }),
    fc
      .array(fc.constantFrom("*", ",", "-", "/", "0", "9", " ", "L", "#"), { maxLength: 256 })
      .map((all) => all.join("")),
  );

  it("is taken or refused with a sentence, and what is taken fires", () => {
    let worst = 0;
    let worstText = "";
    fc.assert(
      fc.property(text, (one) => {
        const before = performance.now();
        const check = checkCron(one);
        const took = performance.now() - before;
        if (took > worst) [worst, worstText] = [took, one];
        if (!check.ok) return check.message.length > 0;
        return cronCalculator(check.pattern, "UTC").next(Date.UTC(2000, 0, 1)) !== undefined;
      }),
      { numRuns: 3_000 },
    );
    // The figure is 50 ms on a quiet machine. A busy machine gets more.
    expect({ worst, worstText }).toMatchObject({
      worst: expect.toSatisfy((took: number) => took < 250) as number,
    });
  });
});
