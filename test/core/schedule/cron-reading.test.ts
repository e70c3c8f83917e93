/**
 * What a pattern's fields mean (semantics.md 1a): how the two day fields join, and where `N/step`
 * ends. A table first, then any pattern against a reading that looks at one minute after the other.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cronCalculator } from "../../../src/core/schedule/cron-calculator.ts";
import { checkCron, cronWarnings } from "../../../src/core/schedule/cron-check.ts";
import { plainCron } from "../../../src/core/schedule/plain-cron.ts";
import { anyPattern, matches, matchesDay } from "./cron-oracle.ts";

const DAY = 86_400_000;
const at = (text: string): number => Date.parse(`${text}Z`);

/** The first fires after a moment of 2027, whose 1st of March is a Monday. */
function fires(pattern: string, count: number, after = at("2027-02-28T23:59:59")): string[] {
  const calculator = cronCalculator(pattern, "UTC");
  const found: string[] = [];
  for (let slot = calculator.next(after); slot !== undefined && found.length < count;) {
    found.push(new Date(slot).toISOString().slice(0, -5));
    slot = calculator.next(slot);
  }
  return found;
}

const days = (pattern: string, count: number): string[] =>
  fires(pattern, count).map((text) => text.slice(5, 10));

describe("the two day fields", () => {
  it.each([
    // Both restricted: either.
    ["0 0 10 * 1", ["03-01", "03-08", "03-10", "03-15"]],
    ["0 0 1-2,20 * WED", ["03-01", "03-02", "03-03", "03-10"]],
    ["0 0 1/15 * 6", ["03-01", "03-06", "03-13", "03-16"]],
    ["0 0 8 * 1-5/4", ["03-01", "03-05", "03-08", "03-12"]],
    ["0 0 1-31/10 * 0", ["03-01", "03-07", "03-11", "03-14"]],
    ["0 0 10 * 0-6/3", ["03-03", "03-06", "03-07", "03-10"]],
    // A star that does not lead is no star.
    ["0 0 20,* * 1", ["03-01", "03-02", "03-03", "03-04"]],
    // A field that begins with a star: both.
    ["0 0 * * 1", ["03-01", "03-08", "03-15", "03-22"]],
    ["0 0 ? * 1", ["03-01", "03-08", "03-15", "03-22"]],
    ["0 0 10 * *", ["03-10", "04-10", "05-10", "06-10"]],
    ["0 0 */2 * 1", ["03-01", "03-15", "03-29", "04-05"]],
    ["0 0 ?/2 * 1", ["03-01", "03-15", "03-29", "04-05"]],
    ["0 0 */10 * SUN", ["03-21", "04-11", "07-11", "08-01"]],
    ["0 0 15 * */3", ["05-15", "08-15", "09-15", "12-15"]],
    ["0 0 */31 * */6", ["05-01", "08-01", "01-01", "04-01"]],
    ["0 0 *,15 * 1", ["03-01", "03-08", "03-15", "03-22"]],
    ["0 0 13 * *,5", ["03-13", "04-13", "05-13", "06-13"]],
    ["0 0 */1 * 2", ["03-02", "03-09", "03-16", "03-23"]],
    // A plus asks for both.
    ["0 0 13 * +5", ["08-13", "10-13"]],
    ["0 0 0 */2 * 1", ["03-01", "03-15", "03-29", "04-05"]],
  ])("of %s give %j", (pattern, expected) => {
    expect(checkCron(pattern)).toEqual({ ok: true, pattern });
    expect(days(pattern, expected.length)).toEqual(expected);
  });

  it("join in a blackout and in each zone alike", () => {
    const berlin = cronCalculator("0 0 */2 * 1", "Europe/Berlin");
    expect(berlin.next(at("2027-03-01T12:00:00"))).toBe(at("2027-03-14T23:00:00"));
  });

  it.each([
    ["0 0 1 * 1", /match either; write \+1 as the last field/],
    ["0 0 1/15 * SAT", /match either/],
    ["0 0 */2 * 1", /\*\/2 counts as a star, as in cron: .*match both; write 1-31\/2 .*either/],
    ["0 0 15 * */3", /\*\/3 counts as a star, as in cron: .*match both; write 0-6\/3 .*either/],
    ["0 0 */2 * */3", /\*\/2 and \*\/3 counts as .* write 1-31\/2 and 0-6\/3 for .*either/],
    ["0 0 0 ?/2 * 1", /\?\/2 counts as a star, as in cron: .*match both; write 1-31\/2 .*either/],
  ])("of %s are told of", (pattern, message) => {
    const told = cronWarnings(pattern, "UTC", at("2027-03-01T00:00:00"));
    expect(told).toEqual([expect.stringMatching(message)]);
  });

  it.each(["0 0 * * 1", "0 0 1 * *", "0 0 */2 * *", "0 0 * * */2", "0 0 */1 * 1", "0 0 1 * +1"])(
    "of %s hold no surprise",
    (pattern) => {
      expect(cronWarnings(pattern, "UTC", at("2027-03-01T00:00:00"))).toEqual([]);
    },
  );
});

describe("a number with a step", () => {
  it.each([
    ["0/15 * * * *", ["00:00:00", "00:15:00", "00:30:00", "00:45:00", "01:00:00"]],
    ["5/25 * * * *", ["00:05:00", "00:30:00", "00:55:00", "01:05:00"]],
    ["58/1 * * * *", ["00:58:00", "00:59:00", "01:58:00"]],
    ["40/30 0 0 * * *", ["00:00:40", "00:00:40"]],
    ["0 20/2 * * *", ["20:00:00", "22:00:00", "20:00:00"]],
    ["1,10/20,4-5 0 * * *", ["00:01:00", "00:04:00", "00:05:00", "00:10:00", "00:30:00"]],
  ])("runs to the end of its field: %s", (pattern, expected) => {
    expect(fires(pattern, expected.length).map((text) => text.slice(11))).toEqual(expected);
  });

  it.each([
    ["0 0 28/2 * *", ["03-28", "03-30", "04-28", "04-30"]],
    ["0 0 1 NOV/1 *", ["11-01", "12-01", "11-01"]],
    ["0 0 1 4/5 *", ["04-01", "09-01", "04-01"]],
    // Saturday is the last day of the week, as in Go, Kubernetes and Quartz.
    ["0 0 * * Mon/2", ["03-01", "03-03", "03-05", "03-08"]],
    ["0 0 * * 5/1", ["03-05", "03-06", "03-12", "03-13"]],
    ["0 0 * * SUN/3", ["03-03", "03-06", "03-07"]],
  ])("runs to the end of its field of days or months: %s", (pattern, expected) => {
    expect(days(pattern, expected.length)).toEqual(expected);
  });

  it.each([
    ["60/5 * * * *", /60\/5 begins outside its field \(minutes are 0-59\)/],
    ["0 24/2 * * *", /24\/2 begins outside its field \(hours are 0-23\)/],
    ["0 0 0/2 * *", /0\/2 begins outside its field \(days of the month are 1-31/],
    ["0 0 1 13/2 *", /13\/2 begins outside its field \(months are 1-12/],
    ["0 0 * * 7/2", /7\/2 begins with the last Sunday; write 0\/2/],
    ["0 0 * * 8/2", /8\/2 begins outside its field \(days of the week/],
    ["5/0 * * * *", /stepping/],
    ["MON/2 * * * *", /illegal characters/],
    ["0 0 * * 5#2/2", /no cron pattern/],
    ["0 0 15W/2 * *", /no cron pattern/],
    ["0 0 L/2 * *", /no cron pattern/],
    ["/5 * * * *", /no cron pattern/],
  ])("is refused where it cannot be read: %s", (pattern, message) => {
    expect(checkCron(pattern)).toMatchObject({
      ok: false,
      message: expect.stringMatching(message) as string,
    });
  });
});

describe("any pattern", () => {
  const instant = fc.integer({ min: at("2024-01-01T00:00:00"), max: at("2032-01-01T00:00:00") });

  it("fires next where a reading minute by minute says", () => {
    let compared = 0;
    fc.assert(
      fc.property(anyPattern, instant, (text, after) => {
        if (!checkCron(text).ok) return;
        const next = cronCalculator(text, "UTC").next(after)!;
        // No minute between is one of the pattern, and the one that was found is.
        for (let day = Math.floor(after / DAY) * DAY; day < next; day += DAY) {
          if (!matchesDay(text, day)) continue;
          for (let minute = day; minute < Math.min(day + DAY, next); minute += 60_000)
            if (minute > after && matches(text, minute))
              expect.fail(`${text} fires at ${new Date(minute).toJSON()}`);
        }
        expect(matches(text, next)).toBe(true);
        compared += 1;
      }),
      { numRuns: 400, seed: 16 },
    );
    expect(compared).toBeGreaterThan(300);
  });

  it("is read alike by the quick calculator, where that says anything", () => {
    let plains = 0;
    fc.assert(
      fc.property(anyPattern, instant, (text, after) => {
        if (!checkCron(text).ok) return;
        const plain = plainCron(text);
        if (plain === undefined) return;
        plains += 1;
        expect(plain(after)).toBe(cronCalculator(text, "UTC").next(after));
      }),
      { numRuns: 4_000, seed: 16 },
    );
    // All but those with a name or a question mark.
    expect(plains).toBeGreaterThan(1_500);
  });
});
