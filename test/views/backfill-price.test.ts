/** What a backfill would cost: which slots it has, and how long its runs would take. */
import { mkdirSync, utimesSync } from "node:fs";
import { dirname } from "node:path";
import { expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { runIdForSlot } from "../../src/core/run-id.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { priceBackfill, type BackfillPrice } from "../../src/views/backfill-price.ts";
import { calm } from "../ledger/sample-ledgers.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { header, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const HOUR_MS = 3_600_000;
const at = (hour: number, minute = 0): number => NOW - (12 - hour) * HOUR_MS + minute * 60_000;

/** The price of a backfill of an hourly pipeline whose runs took so long. */
async function price(
  plan: { readonly from: number; readonly to: number; readonly maxActive?: number },
  tookMs: readonly (readonly [status: "completed" | "failed", ms: number])[] = [],
  jitterSeconds = 0,
): Promise<BackfillPrice> {
  const store = new RunStore(tempRoot().runs);
  const path = store.pipelineLedger("p");
  mkdirSync(dirname(path), { recursive: true });
  const ends = tookMs.map<PipelineEvent>(([status, durationMs], index) => ({
    type: "run.finished",
    run: `p@20261101T0000${String(index).padStart(2, "0")}Z`,
    status,
    durationMs,
  }));
  const noted: PipelineEvent = { type: "request.noted", requestId: "r", because: "a test" };
  await (await LedgerFile.create<PipelineEvent>(path, [noted, ...ends], calm())).close();
  const loaded = pipelineOf("p", [scheduleOf({ cron: "0 * * * *", jitterSeconds })]);
  return priceBackfill(
    store,
    loaded,
    DEFAULT_SETTINGS,
    { which: "missing", maxActive: 1, ...plan },
    NOW,
  );
}

it.each([
  [at(1), at(4), 4, at(1), at(4)],
  [at(1) + 1, at(4) - 1, 2, at(2), at(3)],
  [at(2), at(2), 1, at(2), at(2)],
])("has the slots from %i to %i, both included: %i", async (from, to, slots, first, last) => {
  for (const jitter of [0, 1_800]) {
    const found = await price({ from, to }, [], jitter);
    expect(found).toMatchObject({ slots, runs: slots, executes: slots, cached: 0 });
    expect([found.first, found.last].map((time) => Date.parse(time!))).toEqual([first, last]);
  }
});

it("has none where none lies between, and takes no time then", async () => {
  expect(await price({ from: at(2, 1), to: at(2, 59) }, [["completed", 5]])).toMatchObject({
    slots: 0,
    runs: 0,
    first: null,
    last: null,
    estimatedMs: 0,
  });
});

it.each([
  [1, 50],
  [2, 30],
  [3, 20],
  [5, 10],
  [9, 10],
])("takes, with %i at once, as many rounds as it needs: %i ms", async (maxActive, estimatedMs) => {
  const found = await price({ from: at(1), to: at(5), maxActive }, [["completed", 10]]);
  expect(found.estimatedMs).toBe(estimatedMs);
});

it("goes by the median of the runs that completed, if there is one", async () => {
  const plan = { from: at(2), to: at(2) };
  expect((await price(plan)).estimatedMs).toBeNull();
  expect((await price(plan, [["failed", 7]])).estimatedMs).toBeNull();
  const took = [9_000, 20, 10, 30].map((ms) => ["completed", ms] as const);
  expect((await price(plan, [...took, ["failed", 1]])).estimatedMs).toBe(20);
});

it.each([
  // A re-run of the first run, after a backfill: its id comes before the backfill's.
  [["", "-b1", "-r1"], "failed", 1],
  [["", "-b1", "-r1"], "completed", 0],
  [["", "-r1", "-b1"], "failed", 1],
])("of failed slots goes by the run that was made last, as the daemon: %j %s", async (...of) => {
  const [ends, status, runs] = of;
  const store = new RunStore(tempRoot().runs);
  const slot = runIdForSlot("p", at(2));
  for (const [nth, end] of ends.entries()) {
    const isLast = nth === ends.length - 1;
    const other = status === "failed" ? "completed" : "failed";
    const events = [
      header(slot + end, { a: [] }),
      { type: "run.finished", status: isLast ? status : other, because: "x", durationMs: 1 },
    ] as never[];
    const path = writeRun(store.runsDir, slot + end, events, new Date(NOW + nth).toISOString());
    // The file's time says nothing: this is what a copy may have.
    utimesSync(path, NOW / 1_000 - nth, NOW / 1_000 - nth);
  }
  const plan = { from: at(2), to: at(2), which: "failed", maxActive: 1 } as const;
  const loaded = pipelineOf("p", [scheduleOf({ cron: "0 * * * *" })]);
  expect(priceBackfill(store, loaded, DEFAULT_SETTINGS, plan, NOW).runs).toBe(runs);
});
