/** What the page's views say of a root that a real daemon wrote. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { BackfillPrice } from "../../src/views/backfill-price.ts";
import { priceByLedgers } from "../../src/views/ledger-price.ts";
import { readOverview } from "../../src/views/overview-reading.ts";
import { PipelineMemory } from "../../src/views/pipeline-memory.ts";
import { readPipelinePage } from "../../src/views/pipeline-page-reading.ts";
import { readRunPage } from "../../src/views/run-page-reading.ts";
import { readSlotGrid } from "../../src/views/slot-grid-reading.ts";
import { awaitLines } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

const CACHED = `description: Adds numbers
tags: [maths]
params: { limit: 5 }
schedule:
  - { cron: "* * * * * *" }
  - { name: big, cron: "*/2 * * * * *", params: { limit: 50 } }
overlap: allow
steps:
  add: { run: 'echo "$LIMIT"', env: { LIMIT: "\${params.limit}" }, cache: {} }
  fail: { run: 'exit 7', after: [add], retry: { maxRetries: 1, delay: 10ms } }
`;

it(
  "is what happened, and a backfill costs what the command line says",
  { timeout: 60_000 },
  async () => {
    const root = tempRoot({ "schedules/sums.yaml": CACHED });
    const roots = { root: root.root, schedules: root.schedules, runs: root.runs };
    const store = new RunStore(root.runs);
    const memory = new PipelineMemory(store);
    const daemon = await startDaemon({ root: root.root });
    const began = Date.now();
    const ledger = join(root.runs, "sums/pipeline.jsonl");
    await awaitLines(ledger, 2, (line) => line.type === "run.finished");
    // What is remembered of a root that is written to is what a first reading gives.
    expect(readOverview(roots, Date.now(), memory).daemon).not.toBeNull();
    await awaitLines(ledger, 6, (line) => line.type === "run.finished");
    expect(await daemon.end()).toEqual({ status: 0, signal: null });

    const now = Date.now();
    const view = readOverview(roots, now, memory);
    expect(view).toEqual(readOverview(roots, now));
    expect(view.slots.total).toBeGreaterThanOrEqual(6);
    expect(view.slots).toMatchObject({ ran: view.slots.total, failed: view.slots.total });
    expect(view.pipelines).toMatchObject([
      { name: "sums", description: "Adds numbers", tags: ["maths"], needsYou: true },
    ]);
    expect(view.changes.map(({ sentence }) => sentence)).toContain("sums.yaml is in force.");
    expect(view.downtimes).toMatchObject([{ to: null, because: "the daemon ended" }]);

    const grid = readSlotGrid(roots, { from: began - 60_000, to: now, cells: 1 }, now, memory);
    expect(grid.sums).toEqual(view.slots);
    expect(grid.rows[0]!.cells).toMatchObject([{ cell: 0, count: view.slots.total }]);

    const run = view.pipelines[0]!.lastRun!.run;
    const page = readRunPage(store, run);
    const steps = page.ok ? page.page.steps : [];
    expect(steps[1]!.timeline.map(({ status }) => status)).toEqual(["retried", "failed"]);
    expect(page).toMatchObject({
      page: { rerun: { reused: 1, steps: 2 }, ledger: { fault: null } },
    });
    expect(readPipelinePage(roots, "sums", now, memory)).toMatchObject({
      page: { params: { limit: 5 }, versions: [{ valid: true, errors: [] }] },
    });

    for (const which of ["missing", "failed", "all"] as const) {
      const [from, to] = [began - 60_000, now];
      const priced = priceByLedgers(
        store,
        "sums",
        DEFAULT_SETTINGS,
        { from, to, which, maxActive: 1 },
        now,
      );
      const words = ["--from", new Date(from).toISOString(), "--to", new Date(to).toISOString()];
      const said = await orchd(
        root.root,
        "backfill",
        "sums",
        ...words,
        `--${which}`,
        "--dry-run",
        "--json",
      );
      const price = said.json<BackfillPrice>();
      expect(priced).toMatchObject({ ok: true, price });
      if (which === "all") expect(price.steps.cached).toBeGreaterThan(0);
      expect(priced).toMatchObject({ price: { pricedBy: { older: false } } });
    }
  },
);
