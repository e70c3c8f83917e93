/** The system's clock: how it holds up its thread for a moment. */
import { expect, it } from "vitest";
import { systemClock } from "../src/clock.ts";

it("sleeps until a moment has come, and not before one that has passed", () => {
  for (let nth = 0; nth < 20; nth += 1) {
    const time = Date.now() + 1;
    systemClock.sleepUntil!(time);
    expect(Date.now()).toBeGreaterThanOrEqual(time);
    systemClock.sleepUntil!(time);
  }
});

it("does not sleep for an hour where the clock was set back", () => {
  const time = Date.now() + 3_600_000;
  systemClock.sleepUntil!(time);
  expect(Date.now()).toBeLessThan(time);
});
