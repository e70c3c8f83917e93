import { expect, test } from "vitest";
import { tempRoot } from "../support/temp-root.ts";
import { simulate } from "./simulated-world.ts";

const SEEDS = Number(process.env["ORCHD_SEEDS"] ?? 12);
const FIRST = Number(process.env["ORCHD_FIRST_SEED"] ?? 1);
const DAYS = Number(process.env["ORCHD_DAYS"] ?? 4);

test(`${SEEDS} histories of ${DAYS} days: every due slot has exactly one decision, and no run is made twice`, { timeout: 3_600_000 }, async () => {
  let decided = 0;
  let kills = 0;
  let steps = 0;
  const byKind: Record<string, number> = {};
  for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
    const outcome = await simulate(seed, tempRoot().runs, DAYS, process.env["ORCHD_TRACE"] === undefined ? undefined : console.log);
    expect(outcome.problems, `seed ${seed}`).toEqual([]);
    decided += outcome.decided;
    kills += outcome.kills;
    steps += outcome.steps;
    for (const [kind, count] of Object.entries(outcome.byKind)) byKind[kind] = (byKind[kind] ?? 0) + count;
  }
  console.log(
    `${SEEDS} seeds, ${(SEEDS * DAYS) / 365} simulated years, ${decided} slots decided ${JSON.stringify(byKind)}, ${kills} kills, ${steps} clock steps`,
  );
  expect(decided).toBeGreaterThan(0);
});
