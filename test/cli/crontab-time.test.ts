/** The pattern that has cron's slots: what of it depends on a zone, and on a dialect. */
import { describe, expect, it } from "vitest";
import { crontabTime, timeFault } from "../../src/cli/crontab-time.ts";

const patternOf = (cron: string, zone = "Europe/Berlin", year = 2027): string =>
  crontabTime(cron, zone, year).pattern;

describe("a time that cron runs once where clocks are set", () => {
  it.each([
    ["0-30/10 2 * * *", "0,10,20,30 2 * * *"],
    ["5 1-7/3 * * mon", "5 1,4,7 * * mon"],
    ["30,10-20/5 2 1 */2 *", "10,15,20,30 2 1 */2 *"],
    // Neither a star nor a step in its minutes and hours: it is fixed here as well.
    ["0,30 2 */2 * *", "0,30 2 */2 * *"],
    // A star at the beginning: it is none of fixed times, for both.
    ["*/10 2 * * *", "*/10 2 * * *"],
    ["0-30/10 * * * *", "0-30/10 * * * *"],
    ["@daily", "@daily"],
  ])("%s is written as %s", (cron, pattern) => {
    expect(patternOf(cron)).toBe(pattern);
    const { notes } = crontabTime(cron, "Europe/Berlin", 2027);
    expect(notes).toEqual(
      pattern === cron
        ? []
        : [
            `${cron} is written as ${pattern}: to cron these are fixed times, ` +
              "which run once where clocks in Europe/Berlin are set",
          ],
    );
  });

  // Japan set its clocks forward in 1948 for the first time.
  it.each([
    [1945, "0-30/10 2 * * *"],
    [1946, "0,10,20,30 2 * * *"],
    [1948, "0,10,20,30 2 * * *"],
    [1952, "0-30/10 2 * * *"],
  ])("looks three years ahead for such a change: from %i it is %s", (year, pattern) => {
    expect(patternOf("0-30/10 2 * * *", "Asia/Tokyo", year)).toBe(pattern);
  });
});

describe("what cron reads otherwise", () => {
  const FROM_NUMBER =
    " runs from its number to the end of the field here; " +
    "cron refuses it, or reads the number alone";
  const UNKNOWN = " means something here, and cron does not know it";

  it.each<[string, string[]]>([
    ["5/20 * * * *", [`5/20${FROM_NUMBER}`]],
    ["39/20 * * * *", [`39/20${FROM_NUMBER}`]],
    // The next one would be after the field's end: the number alone is the same.
    ["40/20 * * * *", []],
    ["* * L * *", [`L${UNKNOWN}`]],
    ["* * * * mon#2,fri", [`mon#2${UNKNOWN}`]],
    ["* * ? * *", [`?${UNKNOWN}`]],
    ["1-5/2,7 0 1 jan-MAR Sun", []],
  ])("of %s a person is told %j", (cron, notes) => {
    expect(crontabTime(cron, "UTC", 2027)).toEqual({ pattern: cron, notes });
  });

  it("is a time at random", () => {
    expect(timeFault("0~30 * * * *")).toBe(
      "0~30 * * * * has a ~, a time that cron picks at random; " +
        "write the first one, and jitterSeconds in the pipeline spreads the runs",
    );
    expect(timeFault("0 * * * *")).toBeUndefined();
  });
});
