import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../../src/core/duration.ts";
import { NO_RETRY, retryDelay } from "../../src/core/retry.ts";

describe("parseDuration", () => {
  it.each([
    ["5s", 5_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["1.5h", 5_400_000],
    ["90", 90_000],
    [90, 90_000],
    ["0s", 0],
    [`${MAX_DURATION_MS}ms`, MAX_DURATION_MS],
    [MAX_DURATION_MS / 1_000, MAX_DURATION_MS],
    ["36500d", MAX_DURATION_MS],
  ])("reads %s", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each([
    "",
    "s",
    "5 s",
    "-5s",
    "5x",
    "1h-3m",
    "1e9d",
    "NaN",
    "5s!",
    "h5",
    `${MAX_DURATION_MS}s`,
    `${MAX_DURATION_MS + 1}ms`,
    -1,
    MAX_DURATION_MS / 1_000 + 1,
  ])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
    // What was read before has no part in what is read next.
    expect(parseDuration("1h30m")).toBe(5_400_000);
  });

  it("never throws and never gives a negative or broken number", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^(\d{1,5}(ms|[smhdw]))+$/)), (text) => {
        const parsed = parseDuration(text);
        expect(parsed === undefined || (Number.isSafeInteger(parsed) && parsed >= 0)).toBe(true);
      }),
    );
  });
});

describe("formatDuration", () => {
  it.each([
    [0, "0s"],
    [350, "350ms"],
    [4_240, "4.2s"],
    [5_000, "5s"],
    [200_000, "3m 20s"],
    [7_500_000, "2h 5m"],
    [367_200_000, "4d 6h"],
    [1, "1ms"],
    [999, "999ms"],
    [1_000, "1s"],
    [1_049, "1s"],
    [1_050, "1.1s"],
    [59_900, "59.9s"],
    [59_949, "59.9s"],
    [59_950, "1m"],
    [59_999, "1m"],
    [0.4, "0s"],
    [999.4, "999ms"],
    [999.6, "1s"],
    [60_000, "1m"],
    [60_500, "1m 1s"],
    [3_599_499, "59m 59s"],
    [3_599_500, "1h"],
    [3_629_499, "1h"],
    [3_630_000, "1h 1m"],
    [7_169_000, "1h 59m"],
    [7_170_000, "2h"],
    [7_199_000, "2h"],
    [86_369_000, "23h 59m"],
    [86_370_000, "24h"],
    [86_400_000, "1d"],
    [88_199_000, "1d"],
    [88_200_000, "1d 1h"],
    [172_799_000, "2d"],
  ])("writes %d ms as %s", (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});

describe("retryDelay", () => {
  it("grows by the backoff up to the maximum", () => {
    const policy = { ...NO_RETRY, maxRetries: 5, delayMs: 10, backoff: 2, maxDelayMs: 60 };
    expect([1, 2, 3, 4].map((attempt) => retryDelay(policy, attempt, 0.5))).toEqual([
      10, 20, 40, 60,
    ]);
  });

  it("keeps jitter within its share", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), (chance) => {
        const wait = retryDelay({ ...NO_RETRY, delayMs: 1_000, jitter: 0.1 }, 1, chance);
        expect(wait).toBeGreaterThanOrEqual(900);
        expect(wait).toBeLessThanOrEqual(1_100);
      }),
    );
  });
});
