/**
 * Promises 1, 2, 5, 6 and 8 by simulation. docs/adr/0008-planted-bugs.md lists the bugs that it was
 * seen to find.
 */
import { expect, it } from "vitest";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { crashHistory } from "./crash-history.ts";

const FIRST = Number(process.env["ORCHD_FIRST_SEED"] ?? 1);
const SEEDS = Number(process.env["ORCHD_SEEDS"] ?? trials(2, 1_000));
const ROUNDS = 30;
/** Rounds of a history that is had again. */
const ROUNDS_AGAIN = trials(10, ROUNDS);
const tell = process.env["ORCHD_TRACE"] === undefined ? undefined : console.log;

it(
  `nothing that was acknowledged is lost in ${SEEDS} histories of crashes`,
  { timeout: 7_200_000 },
  async () => {
    const totals: Record<string, number> = {};
    let good = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
      const { problem, counts } = await crashHistory(seed, tempRoot().runs, ROUNDS, tell);
      expect(problem, `seed ${seed}`).toBeUndefined();
      good += 1;
      for (const [what, count] of Object.entries(counts))
        totals[what] = (totals[what] ?? 0) + count;
    }
    reached(2, `simulated histories without a loss ${JSON.stringify(totals)}`, good, SEEDS);
  },
);

it("the same seed gives the same history, to the byte", { timeout: 300_000 }, async () => {
  const [first, second, other] = [
    await crashHistory(FIRST, tempRoot().runs, ROUNDS_AGAIN),
    await crashHistory(FIRST, tempRoot().runs, ROUNDS_AGAIN),
    await crashHistory(FIRST + 1, tempRoot().runs, ROUNDS_AGAIN),
  ];
  expect(second).toEqual(first);
  expect(other.trace).not.toBe(first.trace);
});
