import { expect, it } from "vitest";
import { MAX_DURATION_MS } from "../../src/core/duration.ts";
import { NO_RETRY, retryDelay } from "../../src/core/retry.ts";
import { iso } from "../../src/core/time.ts";

const policy = { ...NO_RETRY, maxRetries: 9, delayMs: 1_000, backoff: 2, jitter: 0.25 };

it.each([
  [0, 750],
  [0.5, 1_000],
  [0.999, 1_250],
])("jitter takes from a wait as much as it adds: chance %f gives %i ms", (chance, wait) => {
  expect(retryDelay(policy, 1, chance)).toBeCloseTo(wait, -1);
});

it("no jitter gives the wait as it is written, whatever the chance", () => {
  for (const chance of [0, 0.5, 0.999])
    expect(retryDelay({ ...policy, jitter: 0 }, 3, chance)).toBe(4_000);
});

it("jitter is the share of a wait after the longest wait has bounded it", () => {
  expect(retryDelay({ ...policy, maxDelayMs: 2_000 }, 5, 0)).toBe(1_500);
});

it.each([2, 10, 1_000])(
  "no delay stays none after any number of attempts: backoff %i",
  (backoff) => {
    for (const attempt of [1, 100, 400, 5_000])
      expect(retryDelay({ ...policy, delayMs: 0, backoff }, attempt, 0.9)).toBe(0);
  },
);

it("a wait without a longest one ends at a moment that can be written", () => {
  for (const attempt of [6, 400, 5_000]) {
    const wait = retryDelay({ ...policy, backoff: 1_000, jitter: 1 }, attempt, 0.999);
    expect(wait).toBeLessThanOrEqual(2 * MAX_DURATION_MS);
    expect(iso(Date.UTC(2026, 10, 23) + wait)).toMatch(/^2\d{3}-/);
  }
});
