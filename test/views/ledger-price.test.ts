/**
 * What a backfill would cost by ledgers alone: which run's steps are counted, and what is refused.
 */
import { describe, expect, test } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { priceByLedgers, type LedgerPrice, type NoPrice } from "../../src/views/ledger-price.ts";
import type { NoView } from "../../src/views/no-view.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { at, idOf, NOW } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";

const steps = (count: number): Record<string, readonly string[]> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`s${index}`, []]));

function price(runs: string, from = Date.parse(at(1)), to = NOW): LedgerPrice | NoPrice | NoView {
  const plan = { from, to, which: "missing" as const, maxActive: 1 };
  const answer = priceByLedgers(new RunStore(runs), "p", DEFAULT_SETTINGS, plan, NOW);
  return answer.ok ? answer.price : answer;
}

/** A run of so many steps with these params, and its pipeline's line. */
function made(runs: string, hour: number, count: number, params: object): HandEvent {
  const run = idOf("p", hour);
  writeRun(runs, run, [{ ...header(run, steps(count), { params }), at: at(hour) }]);
  return { type: "run.started", at: at(hour), run, trigger: "schedule" };
}

describe("the price of a backfill by ledgers", () => {
  test("counts the steps of the newest run that had the same params", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [
      { ...loaded("0 * * * *"), at: at(0), tags: [], params: { day: 1 } },
      made(runs, 1, 7, { day: 1 }),
      made(runs, 2, 3, { day: 1 }),
      made(runs, 3, 50, { day: 2 }),
    ]);
    expect(price(runs)).toMatchObject({
      slots: 10,
      runs: 7,
      executes: 7,
      cached: 0,
      steps: { total: 21, cached: 0 },
      pricedBy: { run: idOf("p", 2), at: at(2), older: false },
    });
  });

  test("names the newest run that it goes by, where schedules differ in their params", () => {
    const { runs } = tempRoot();
    const base = loaded("0 * * * *") as unknown as { schedules: readonly object[] };
    const schedules = [1, 2].map((day) => ({ ...base.schedules[0], params: { day } }));
    writePipeline(runs, "p", [
      { ...loaded("0 * * * *"), at: at(0), tags: [], params: {}, schedules },
      made(runs, 1, 7, { day: 2 }),
      made(runs, 2, 3, { day: 1 }),
    ]);
    const priced = price(runs);
    expect(priced).toMatchObject({ pricedBy: { run: idOf("p", 2), at: at(2), older: false } });
    const { runs: count, steps: counted } = priced as LedgerPrice;
    expect(counted.total).toBe((count / 2) * (7 + 3));
  });

  test("says that the version in force is newer; of an old ledger any run will do", () => {
    const { runs } = tempRoot();
    const before = made(runs, 1, 7, { day: 1 });
    writePipeline(runs, "p", [before, { ...loaded("0 * * * *"), at: at(2) }]);
    expect(price(runs)).toMatchObject({ pricedBy: { run: idOf("p", 1), older: true } });
  });

  test("knows no step where no run had the params, or none can be read", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [
      { ...loaded("0 * * * *"), at: at(0), tags: [], params: { day: 1 } },
      made(runs, 1, 7, { day: 2 }),
      { type: "run.started", at: at(2), run: idOf("p", 2), trigger: "schedule" },
    ]);
    expect(price(runs)).toMatchObject({ steps: { total: 0, cached: 0 }, pricedBy: null });
  });

  test("is refused where there is nothing to run, and where there is too much", () => {
    const { runs } = tempRoot();
    expect(price(runs)).toMatchObject({ ok: false, kind: "unfit" });
    writePipeline(runs, "p", [{ ...loaded("* * * * * *"), at: at(0) }]);
    const answer = price(runs, Date.parse(at(1)));
    expect(answer).toMatchObject({ ok: false, kind: "refused" });
    expect((answer as NoPrice).sentence).toContain("more than 20,000 slots");
    writePipeline(runs, "p", [loaded("0 * * * *"), { type: "pipeline.removed" }]);
    expect(price(runs)).toMatchObject({ ok: false, kind: "unfit" });
    expect((price(runs) as NoPrice).sentence).toContain("a backfill needs it");
  });
});
