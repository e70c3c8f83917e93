/** Which time of a run the metrics count: that in which it worked, where a line says it. */
import { expect, it } from "vitest";
import { DURATION_BOUNDS, emptyTally, tallyRun } from "../../src/core/tally.ts";

it.each([
  [{ durationMs: 3_600_000, workedMs: 500 }, 500],
  [{ durationMs: 500 }, 500],
])("of %j it is %i ms", (times, ms) => {
  const tally = emptyTally();
  tallyRun(tally, { run: "p@20261123T020000Z", status: "completed", at: "x", ...times });
  const bucket = DURATION_BOUNDS.findIndex((bound) => ms / 1_000 <= bound);
  expect(tally.durations.counts.findIndex((count) => count === 1)).toBe(bucket);
  expect(tally.durations.sumMs).toBe(ms);
});
