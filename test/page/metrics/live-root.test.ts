/**
 * A real daemon's metrics against a recount of its runs' own ledgers, and the same counters after
 * all that must not change them: kill -9, pruning, a damaged run that is repaired.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { RunStore } from "../../../src/ledger/run-store.ts";
import { Metrics } from "../../../src/page/metrics/metrics.ts";
import { daemonOver, orchd, startDaemon } from "../../support/daemon.ts";
import { readWholeLedger } from "../../support/independent-ledger.ts";
import { header, loaded, writePipeline, writeRun } from "../../support/hand-ledger.ts";
import { at } from "../../support/made-up-root.ts";
import { parseMetrics, type Series } from "../../support/parse-metrics.ts";
import { tempRoot } from "../../support/temp-root.ts";

const FILES = {
  "schedules/mix.yaml": `
name: mix
schedule: { cron: "0 0 1 1 *" }
steps:
  good: { uses: ./steps/good.ts }
  shaky: { run: "test -e ../shaky", retry: { maxRetries: 2, delay: 10ms } }
  after: { run: "true", after: [shaky] }
`,
  "schedules/steps/good.ts": "export default (): number => 1;\n",
  "schedules/tick.yaml": `
name: tick
schedule: { cron: "* * * * * *", catchUp: all }
steps:
  tick: { run: "true" }
`,
};

const ERROR = { name: "Error", message: "no" };
const COUNTERS = /_(?:total|bucket|count|sum)\{/;

it("are what the runs' ledgers say, and stay so", { timeout: 120_000 }, async () => {
  const { root, daemon } = await daemonOver(FILES);
  const { runs } = root;
  onTestFinished(() => daemon.kill());
  const metrics = new Metrics(runs);
  const scrape = async (): Promise<Series> => parseMetrics((await metrics.text(Date.now())).body);
  for (const words of [
    ["run", "mix"],
    ["run", "mix"],
  ])
    expect((await orchd(root.root, ...words, "--wait")).status).toBe(1);
  const [failed] = new RunStore(runs).list("mix");
  expect((await orchd(root.root, "rerun", failed!, "--wait")).status).toBe(1);
  const days = ["--from", "2026-01-01T00:00Z", "--to", "2026-01-01T00:00Z"];
  expect((await orchd(root.root, "backfill", "mix", ...days)).status).toBe(0);
  expect((await orchd(root.root, "pause", "tick")).status).toBe(0);
  const backfilled = { pipeline: "mix", status: "failed", trigger: "backfill" };
  await until(async () => (await scrape()).value("orchd_runs_total", backfilled) === 1);
  await until(async () => (await scrape()).value("orchd_runs_active", { pipeline: "tick" }) === 0);
  const first = await scrape();
  for (const pipeline of ["mix", "tick"]) expectRecount(first, runs, pipeline);
  expect(first.value("orchd_retries_total", { pipeline: "mix" })).toBeGreaterThan(5);
  expect(first.value("orchd_step_results_total", { pipeline: "mix", result: "cached" })).not.toBe(
    0,
  );

  await daemon.kill();
  const second = await startDaemon({ root: root.root });
  expectSame(await scrape(), first);
  await second.kill();

  // The end of a run's ledger is lost, and repaired from the pipeline's.
  const path = new RunStore(runs).runLedger(failed!);
  writeFileSync(path, readFileSync(path, "utf8").replace(/"type":"step\.failed"/, '"type":"x"'));
  const third = await startDaemon({ root: root.root });
  expect((await orchd(root.root, "repair", failed!)).status).toBe(0);
  expectSame(await scrape(), first);

  const pruned = await orchd(root.root, "prune", "--keep-runs", "1", "--json");
  expect(pruned.status, pruned.stderr).toBe(0);
  expect(new RunStore(runs).list("mix").length).toBeLessThan(4);
  expectSame(await scrape(), first);
  await third.end();
  expectSame(parseMetrics((await new Metrics(runs).text(Date.now())).body), first);
});

it("count a run whose end a crash kept from its pipeline's ledger", async () => {
  const root = tempRoot();
  const { runs } = root;
  const run = "etl@20261123T020000Z";
  writePipeline(runs, "etl", [
    loaded("0 2 * * *"),
    { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run, through: at(2), latenessMs: 3 },
    { type: "run.started", run, trigger: "schedule" },
  ]);
  const step = { step: "pull", because: "x" };
  writeRun(runs, run, [
    header(run, { pull: [], load: ["pull"] }, { trigger: { kind: "catch_up" } }),
    { type: "run.started", because: "x" },
    { type: "step.started", ...step, attempt: 1 },
    { type: "step.failed", ...step, attempt: 1, error: ERROR, retryAt: at(2), durationMs: 1 },
    { type: "step.started", ...step, attempt: 2 },
    { type: "step.failed", ...step, attempt: 2, error: ERROR, durationMs: 1 },
    { type: "step.skipped", step: "load", because: "x" },
    { type: "run.finished", status: "failed", because: "x", durationMs: 5_000 },
  ]);
  const daemon = await startDaemon({ root: root.root });
  const { value } = parseMetrics((await new Metrics(runs).text(Date.now())).body);
  const pipeline = "etl";
  expect(value("orchd_runs_total", { pipeline, status: "failed", trigger: "catch_up" })).toBe(1);
  expect(value("orchd_step_results_total", { pipeline, result: "failed" })).toBe(1);
  expect(value("orchd_step_results_total", { pipeline, result: "skipped" })).toBe(1);
  expect(value("orchd_retries_total", { pipeline })).toBe(1);
  expect(value("orchd_run_duration_seconds_sum", { pipeline })).toBe(5);
  await daemon.end();
});

/** Counts a pipeline's runs from their own ledgers, and compares. */
function expectRecount(series: Series, runs: string, pipeline: string): void {
  const store = new RunStore(runs);
  const counted = new Map<string, number>();
  const add = (key: string, by = 1): void => void counted.set(key, (counted.get(key) ?? 0) + by);
  for (const run of store.list(pipeline)) {
    const lines = readWholeLedger(store.runLedger(run));
    const trigger = (lines[0]!["trigger"] as { kind: string }).kind;
    add(`run ${String(lines.at(-1)!["status"])} ${trigger}`);
    for (const line of lines) {
      const result = /^step\.(completed|cached|skipped|stopped)$/.exec(line.type)?.[1];
      if (result !== undefined) add(`step ${result}`);
      else if (line.type === "step.failed" && line["retryAt"] === undefined) add("step failed");
      else if (line.type === "step.failed") add("retry");
    }
  }
  expect(counted.size).toBeGreaterThan(1);
  const shown = new Map<string, number>();
  for (const { status, trigger } of series.keysOf("orchd_runs_total")) {
    const labels = { pipeline, status: status!, trigger: trigger! };
    shown.set(`run ${status} ${trigger}`, series.value("orchd_runs_total", labels)!);
  }
  for (const { result } of series.keysOf("orchd_step_results_total"))
    shown.set(
      `step ${result}`,
      series.value("orchd_step_results_total", { pipeline, result: result! })!,
    );
  shown.set("retry", series.value("orchd_retries_total", { pipeline })!);
  expect(Object.fromEntries([...shown].filter(([, count]) => count > 0))).toEqual(
    Object.fromEntries(counted),
  );
}

function expectSame(series: Series, before: Series): void {
  const of = ({ all }: Series): [string, number][] =>
    // The paused pipeline's slots are skipped all the time.
    [...all].filter(([key]) => COUNTERS.test(key) && !key.includes("decision=skipped"));
  expect(of(series)).toEqual(of(before));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${String(holds)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
