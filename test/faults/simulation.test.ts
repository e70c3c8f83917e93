/**
 * Promises 11 and 12 against a naive oracle: many histories of a simulated daemon, each decided by
 * its seed alone.
 *
 *     SEED=n npx vitest run test/faults/simulation.test.ts   one history again; TRACE=1 tells it
 *     SEEDS=a FIRST=b DAYS=c FAULTS=1 npx vitest run …       a histories of c days, from seed b
 */
import { expect, test } from "vitest";
import { simulate } from "../engine/simulated-world.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";

const { SEED, SEEDS, FIRST, DAYS, TRACE } = process.env;
const count = SEED !== undefined ? 1 : Number(SEEDS ?? trials(8, 1_000));
const first = Number(SEED ?? FIRST ?? 1);
const days = Number(DAYS ?? trials(4, 30));

test(
  `${count} histories of ${days} days: each due slot has one decision, and no run is made twice`,
  { timeout: 14_400_000 },
  async () => {
    const wrong: string[] = [];
    const sums = { decided: 0, kills: 0, cuts: 0, steps: 0 };
    const byKind: Record<string, number> = {};
    let good = 0;
    for (let seed = first; seed < first + count; seed += 1) {
      const outcome = await simulate(
        seed,
        tempRoot().runs,
        days,
        TRACE === undefined ? undefined : console.log,
      );
      if (outcome.problems.length === 0) good += 1;
      else
        wrong.push(
          `SEED=${seed} DAYS=${days}: ${outcome.problems.length} problems, the first: ` +
            outcome.problems.slice(0, 3).join("; "),
        );
      for (const sum of Object.keys(sums) as (keyof typeof sums)[]) sums[sum] += outcome[sum];
      for (const [kind, of] of Object.entries(outcome.byKind))
        byKind[kind] = (byKind[kind] ?? 0) + of;
    }
    const kinds = Object.entries(byKind).map(([kind, of]) => `${of} ${kind}`);
    const { decided, kills, cuts, steps } = sums;
    reached(
      12,
      `seeds from ${first} on, ${((count * days) / 365).toFixed(1)} simulated years, ` +
        `${decided} slots owed and decided (${kinds.join(", ")}), ` +
        `${kills} kills, ${cuts} power cuts, ${steps} clock steps`,
      good,
      count,
    );
    expect(wrong).toEqual([]);
    expect(decided).toBeGreaterThan(0);
  },
);
