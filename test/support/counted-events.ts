/** Lines of a pipeline's ledger that metrics count, in any order, and their numbers. */
import fc from "fast-check";
import { defined } from "../../src/core/defined.ts";
import type { PipelineEvent } from "../../src/core/event.ts";
import { FINAL_RUN_STATUSES } from "../../src/core/status.ts";
import type { Tally } from "../../src/core/tally.ts";

const T0 = Date.UTC(2026, 10, 23);
const moment = fc.nat({ max: 100_000 }).map((s) => new Date(T0 + s * 1_000).toISOString());
const run = fc.nat({ max: 30 }).map((n) => `p@202611${10 + n}T020000Z`);
const because = fc.constant("because");
const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(of, { nil: undefined });
const some = (of: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<PipelineEvent> =>
  fc.record(of).map((event) => defined(event) as unknown as PipelineEvent);

/** Any event that changes a counter, and a few that must not. */
export const anyEvent: fc.Arbitrary<PipelineEvent> = fc.oneof(
  some({
    type: fc.constantFrom("slot.fired", "slot.caught_up"),
    slot: moment,
    run,
    latenessMs: maybe(fc.nat({ max: 100_000_000 })),
    through: maybe(moment),
  }),
  some({ type: fc.constantFrom("slot.skipped", "slot.missed"), slot: moment, because }),
  some({ type: fc.constant("slot.backfilled"), slot: moment, run }),
  some({ type: fc.constantFrom("run.queued", "run.started"), run, because }),
  some({
    type: fc.constant("run.finished"),
    run,
    status: fc.constantFrom(...FINAL_RUN_STATUSES),
    durationMs: fc.nat({ max: 100_000_000 }),
    workedMs: maybe(fc.nat({ max: 100_000_000 })),
    trigger: maybe(fc.constantFrom("schedule", "catch_up", "manual", "backfill", "rerun")),
    steps: maybe(fc.dictionary(fc.constantFrom("completed", "failed"), fc.nat({ max: 9 }))),
    retries: maybe(fc.nat({ max: 9 })),
  }),
  some({ type: fc.constant("clock.stepped"), from: moment, to: moment, through: moment }),
  some({ type: fc.constant("runs.pruned"), until: moment, runs: fc.nat({ max: 9 }) }),
);

/** Every number of a tally, by a name. */
export function countersOf(tally: Tally): Record<string, number> {
  const { slots, runs, steps, retries, durations, lateness } = tally;
  return Object.fromEntries(
    [
      ...Object.entries(slots),
      ...Object.entries(runs),
      ...Object.entries(steps).map(([key, value]) => [`step ${key}`, value] as const),
      ["retries", retries] as const,
      ["duration", durations.sumMs] as const,
      ["lateness", lateness.sumMs] as const,
      ...durations.counts.map((value, index) => [`duration ${index}`, value] as const),
      ...lateness.counts.map((value, index) => [`lateness ${index}`, value] as const),
    ].map(([key, value]) => [key, value]),
  );
}
