/** How far a moment is from now: one rule, on the page and in a terminal. */
import { describe, expect, it } from "vitest";
import { comingText, relativeText } from "../../src/core/relative-time.ts";
import * as pageWords from "../../src/page/app/words.ts";

const NOW = Date.parse("2026-11-23T10:20:30Z");

describe.each([
  ["in a terminal", relativeText, comingText],
  ["on the page", pageWords.relativeText, pageWords.comingText],
])("how far a moment is, %s", (_where, relative, coming) => {
  it.each([
    [0, "now"],
    [999, "now"],
    [-999, "now"],
    [1_000, "in 1s"],
    [-1_000, "1s ago"],
    [1_999, "in 1s"],
    [-59_999, "59s ago"],
    [60_000, "in 1m"],
    [242_900, "in 4m 2s"],
    [-3_599_999, "59m 59s ago"],
    [-3_600_000, "1h ago"],
    [-7_199_999, "1h 59m ago"],
    [86_399_999, "in 23h 59m"],
    [90_000_000, "in 1d 1h"],
    [-172_799_999, "1d 23h ago"],
  ])("%i ms from now is %s", (away, text) => {
    expect(relative(NOW + away, NOW)).toBe(text);
  });

  it("what was to come is now once its moment is there", () => {
    expect(coming(NOW - 5_000, NOW)).toBe("now");
    expect(coming(NOW + 5_900, NOW)).toBe("in 5s");
  });
});
