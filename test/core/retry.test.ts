import { expect, it } from "vitest";
import { NO_RETRY, retryDelay } from "../../src/core/retry.ts";

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
