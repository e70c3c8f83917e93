import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { FINAL_RUN_STATUSES } from "../../../src/core/status.ts";
import { RunStore } from "../../../src/ledger/run-store.ts";
import { readPipeline } from "../../../src/views/pipeline-reading.ts";
import { Metrics } from "../../../src/page/metrics/metrics.ts";
import { METRICS } from "../../../src/page/metrics/metric-list.ts";
import { pageRig } from "../page-rig.ts";
import { at, idOf, madeUpRoot, NOW } from "../../support/made-up-root.ts";
import { loaded, writePipeline, type HandEvent } from "../../support/hand-ledger.ts";
import { hasProgram } from "../../support/figures.ts";
import { projectRoot, tempRoot } from "../../support/temp-root.ts";
import { parseMetrics, type Series } from "../../support/parse-metrics.ts";

const scrape = async (runs: string, now = NOW): Promise<Series> =>
  parseMetrics((await new Metrics(runs).text(now)).body);

const fired = (hour: number, more: object = {}): HandEvent => ({
  type: "slot.fired",
  at: at(hour),
  slot: at(hour),
  run: idOf("etl", hour),
  through: at(hour),
  latenessMs: 7,
  ...more,
});
const ended = (hour: number, more: object = {}): HandEvent => ({
  type: "run.finished",
  at: at(hour, 1),
  run: idOf("etl", hour),
  status: "completed",
  durationMs: 61_000,
  trigger: "schedule",
  steps: { completed: 2 },
  ...more,
});

/** A root without a channel and without a daemon has no series of these. */
const LATER: ReadonlySet<string> = new Set([
  METRICS.notifications.name,
  METRICS.placeUp.name,
  METRICS.placeHosts.name,
]);

describe("the metrics of a root", () => {
  it("have every name, type and label of the list, and zeroes from the first scrape", async () => {
    const { runs } = tempRoot();
    writePipeline(runs, "etl", [loaded("0 * * * *")]);
    const series = await scrape(runs, Date.parse("2026-11-23T02:10:00Z"));
    for (const { name, type, help, labels } of Object.values(METRICS)) {
      expect(series.types.get(name)).toBe(type);
      expect(series.helps.get(name)).toBe(help);
      const own = type === "histogram" ? `${name}_count` : name;
      for (const key of series.keysOf(own)) expect(Object.keys(key)).toEqual(labels);
      if (!LATER.has(name)) expect(series.keysOf(own).length, name).toBeGreaterThan(0);
    }
    for (const decision of ["fired", "caught_up", "skipped", "missed", "backfilled"])
      expect(series.value("orchd_slots_total", { pipeline: "etl", decision })).toBe(0);
    for (const status of FINAL_RUN_STATUSES)
      for (const trigger of ["schedule", "catch_up", "manual", "backfill", "rerun"])
        expect(series.value("orchd_runs_total", { pipeline: "etl", status, trigger })).toBe(0);
    for (const result of ["completed", "failed", "cached", "skipped", "stopped"])
      expect(series.value("orchd_step_results_total", { pipeline: "etl", result })).toBe(0);
    expect(series.value("orchd_retries_total", { pipeline: "etl" })).toBe(0);
    expect(series.value("orchd_run_duration_seconds_count", { pipeline: "etl" })).toBe(0);
    expect(series.value("orchd_up", {})).toBe(0);
    expect(series.value("orchd_undecided_slots", {})).toBe(0);
  });

  it("are there where there is nothing yet", async () => {
    const { runs } = tempRoot();
    const series = await scrape(runs);
    expect(series.keysOf("orchd_slots_total")).toEqual([]);
    expect(series.value("orchd_ledger_bytes", {})).toBe(0);
    expect((await scrape(join(runs, "nowhere"))).value("orchd_up", {})).toBe(0);
  });

  it("count what the pipelines' ledgers say", async () => {
    const { runs } = tempRoot();
    writePipeline(runs, "etl", [
      loaded("0 * * * *"),
      fired(3),
      ended(3, { retries: 2, steps: { completed: 1, cached: 1 } }),
      { type: "slot.missed", at: at(5), slot: at(4), because: "down", through: at(4) },
      fired(5, { type: "slot.caught_up", latenessMs: 90_000 }),
      ended(5, { status: "failed", trigger: "catch_up", steps: { failed: 1, skipped: 1 } }),
      { type: "run.started", at: at(6), run: idOf("etl", 6), trigger: "manual" },
      { type: "run.queued", at: at(6), run: idOf("etl", 7), because: "overlap" },
    ]);
    const { value } = await scrape(runs, Date.parse(at(7, 30)));
    const pipeline = "etl";
    expect(value("orchd_slots_total", { pipeline, decision: "fired" })).toBe(1);
    expect(value("orchd_slots_total", { pipeline, decision: "caught_up" })).toBe(1);
    expect(value("orchd_slots_total", { pipeline, decision: "missed" })).toBe(1);
    const run = (status: string, trigger: string): number | undefined =>
      value("orchd_runs_total", { pipeline, status, trigger });
    expect([run("completed", "schedule"), run("failed", "catch_up")]).toEqual([1, 1]);
    expect(value("orchd_step_results_total", { pipeline, result: "cached" })).toBe(1);
    expect(value("orchd_retries_total", { pipeline })).toBe(2);
    expect(value("orchd_runs_active", { pipeline })).toBe(1);
    expect(value("orchd_runs_queued", { pipeline })).toBe(1);
    const last = "orchd_last_run_timestamp_seconds";
    expect(value(last, { pipeline, status: "failed" })).toBe(Date.parse(at(5, 1)) / 1_000);
    expect(value(last, { pipeline, status: "stopped" })).toBe(0);
    expect(value("orchd_last_success_timestamp_seconds", { pipeline })).toBe(
      Date.parse(at(3, 1)) / 1_000,
    );
    expect(value("orchd_next_fire_timestamp_seconds", { pipeline })).toBe(
      Date.parse(at(8)) / 1_000,
    );
    expect(value("orchd_slot_lateness_seconds_sum", { pipeline })).toBe(90.007);
    expect(value("orchd_slot_lateness_seconds_bucket", { pipeline, le: "0.01" })).toBe(1);
    expect(value("orchd_slot_lateness_seconds_bucket", { pipeline, le: "300" })).toBe(2);
    expect(value("orchd_run_duration_seconds_bucket", { pipeline, le: "60" })).toBe(0);
    expect(value("orchd_run_duration_seconds_bucket", { pipeline, le: "+Inf" })).toBe(2);
    // 6:00 and 7:00 are due, and have no line.
    expect(value("orchd_undecided_slots", {})).toBe(2);
  });

  it("follow the ledger from scrape to scrape, and count undecided slots on", async () => {
    const { runs } = tempRoot();
    writePipeline(runs, "etl", [loaded("0 * * * *"), fired(3)]);
    const metrics = new Metrics(runs);
    const read = async (now: string): Promise<Series> =>
      parseMetrics((await metrics.text(Date.parse(now))).body);
    const slots = { pipeline: "etl", decision: "fired" };
    const open = async (now: string): Promise<number | undefined> =>
      (await read(now)).value("orchd_undecided_slots", {});
    expect([await open(at(3, 30)), await open(at(4, 30)), await open(at(9, 30))]).toEqual([
      0, 1, 6,
    ]);
    // The clock was ahead.
    expect(await open(at(5, 30))).toBe(2);
    const { value } = await read(at(5, 30));
    expect(value("orchd_next_fire_timestamp_seconds", { pipeline: "etl" })).toBe(
      Date.parse(at(6)) / 1_000,
    );
    writePipeline(runs, "etl", [loaded("0 * * * *"), fired(3), fired(4), fired(9)]);
    const series = await read(at(9, 30));
    expect(series.value("orchd_slots_total", slots)).toBe(3);
    expect(series.value("orchd_undecided_slots", {})).toBe(0);
    expect(series.value("orchd_next_fire_timestamp_seconds", { pipeline: "etl" })).toBe(
      Date.parse(at(10)) / 1_000,
    );
    rmSync(join(runs, "etl"), { recursive: true });
    expect((await read(at(9, 30))).keysOf("orchd_slots_total")).toEqual([]);
  });

  it("follow what holds now where it changes no count", async () => {
    const { runs } = tempRoot();
    const metrics = new Metrics(runs);
    const holds = async (hours: number): Promise<(number | undefined)[]> => {
      const { value } = parseMetrics((await metrics.text(NOW + hours * 3_600_000)).body);
      return ["orchd_pipeline_paused", "orchd_next_fire_timestamp_seconds"].map((name) =>
        value(name, { pipeline: "etl" }),
      );
    };
    const lines = [loaded("0 * * * *"), { type: "pipeline.paused" }];
    writePipeline(runs, "etl", lines.slice(0, 1));
    const [, next] = await holds(0);
    // Nobody wrote anything.
    expect(await holds(2)).toEqual([0, next! + 7_200]);
    writePipeline(runs, "etl", lines);
    expect(await holds(2)).toEqual([1, 0]);
  });

  it("say what holds now of a paused, an invalid, a removed and an unreadable one", async () => {
    const { runs } = tempRoot();
    const valid = loaded("0 * * * *");
    writePipeline(runs, "paused", [valid, { type: "pipeline.paused" }]);
    writePipeline(runs, "invalid", [valid, { type: "pipeline.invalid", errors: ["no"] }]);
    writePipeline(runs, "removed", [valid, fired(3), ended(3), { type: "pipeline.removed" }]);
    writePipeline(runs, "newer", [{ ...valid, format: 99 }]);
    writePipeline(runs, "damaged", [valid, fired(3)]);
    writeFileSync(join(runs, "damaged", "pipeline.jsonl"), "no ledger\nat all\n");
    mkdirSync(join(runs, "loops"));
    symlinkSync("pipeline.jsonl", join(runs, "loops", "pipeline.jsonl"));
    // A daemon that is gone left it: it means nothing now.
    mkdirSync(join(runs, ".orchd"));
    writeFileSync(join(runs, ".orchd/set-aside.json"), '{"paused":{"since":"","because":""}}');
    const { value, keysOf } = await scrape(runs, Date.parse("2026-11-23T02:10:00Z"));
    const of = (pipeline: string): (number | undefined)[] =>
      ["valid", "paused"].map((what) => value(`orchd_pipeline_${what}`, { pipeline }));
    expect(of("paused")).toEqual([1, 1]);
    expect(of("invalid")).toEqual([0, 0]);
    expect(of("removed")).toEqual([undefined, undefined]);
    expect(of("newer")).toEqual([0, 0]);
    expect(of("damaged")).toEqual([0, 0]);
    expect(of("loops")).toEqual([0, 0]);
    expect(value("orchd_next_fire_timestamp_seconds", { pipeline: "paused" })).toBe(0);
    expect(value("orchd_slots_total", { pipeline: "removed", decision: "fired" })).toBe(1);
    expect(keysOf("orchd_last_success_timestamp_seconds")).toHaveLength(5);
  });

  it("tell how long the oldest request has waited", async () => {
    const { runs } = tempRoot();
    const folder = join(runs, ".orchd", "requests");
    mkdirSync(folder, { recursive: true });
    for (const [name, age] of Object.entries({ "b.json": 10, "a.json": 70, ".c.json": 900 })) {
      writeFileSync(join(folder, name), "{}");
      utimesSync(join(folder, name), NOW / 1_000 - age, NOW / 1_000 - age);
    }
    expect((await scrape(runs)).value("orchd_oldest_request_age_seconds", {})).toBe(70);
  });

  it("sum all beyond 500 as _other, and the oldest ledgers keep their series", async () => {
    const { runs } = tempRoot();
    for (let n = 0; n < 503; n += 1) {
      const name = `p${String(503 - n).padStart(3, "0")}`;
      const start = new Date(Date.UTC(2026, 10, 23, 2, 0, n)).toISOString();
      writePipeline(runs, name, [loaded("0 * * * *"), fired(3), ended(3)], start);
    }
    const metrics = new Metrics(runs);
    const now = Date.parse(at(3, 30));
    const before = parseMetrics((await metrics.text(now)).body);
    const count = (series: Series, pipeline: string): number | undefined =>
      series.value("orchd_slots_total", { pipeline, decision: "fired" });
    expect(before.keysOf("orchd_retries_total")).toHaveLength(501);
    expect([count(before, "_other"), count(before, "p004"), count(before, "p003")]).toEqual([
      3,
      1,
      undefined,
    ]);
    expect(before.value("orchd_run_duration_seconds_count", { pipeline: "_other" })).toBe(3);
    writePipeline(runs, "a", [loaded("0 * * * *"), fired(3)], at(3));
    const after = parseMetrics((await metrics.text(now)).body);
    expect([count(after, "_other"), count(after, "p004"), count(after, "a")]).toEqual([
      4,
      1,
      undefined,
    ]);
  });

  it("count what ledgers of an older release hold", async () => {
    const runs = join(projectRoot, "test/fixtures/ledgers/v1/runs");
    const series = await scrape(runs);
    const ended = (pipeline: string, status: string): number =>
      series
        .keysOf("orchd_runs_total")
        .filter((labels) => labels["pipeline"] === pipeline && labels["status"] === status)
        .reduce((sum, labels) => sum + series.value("orchd_runs_total", labels)!, 0);
    for (const pipeline of ["tick", "night"]) {
      const { counts } = readPipeline(new RunStore(runs), pipeline)!.state;
      for (const status of FINAL_RUN_STATUSES)
        expect(ended(pipeline, status)).toBe(counts[status] ?? 0);
      const slots = { pipeline, decision: "fired" };
      expect(series.value("orchd_slots_total", slots)).toBe(counts["fired"] ?? 0);
    }
    expect(ended("tick", "completed")).toBe(20);
  });

  it("never have a run, a step or a reason as a label", async () => {
    const { runs } = madeUpRoot();
    const { body } = await new Metrics(runs).text(NOW);
    expect(body).not.toMatch(/@\d|pull|load[^e]|asked by hand/);
  });

  it("come in OpenMetrics where that is asked for", async () => {
    const { runs } = madeUpRoot();
    const metrics = new Metrics(runs);
    const prometheus =
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;" +
      "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const open = await metrics.text(NOW, prometheus);
    expect(open.contentType).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
    expect(open.body).toMatch(/\n# EOF\n$/);
    expect(open.body).toContain("# TYPE orchd_slots counter\norchd_slots_total{");
    for (const accept of [undefined, "*/*", "text/plain", "text/html, */*;q=0.8", ";;,q="])
      expect((await metrics.text(NOW, accept)).contentType).toMatch(
        /^text\/plain; version=0\.0\.4/,
      );
  });

  it("are told by one reader from scrape to scrape: it reads what has changed", async () => {
    const told = vi.spyOn(Metrics.prototype, "text");
    try {
      const { ask } = await pageRig();
      for (let scrapes = 0; scrapes < 3; scrapes += 1)
        expect((await ask("/metrics")).status).toBe(200);
      expect(told).toHaveBeenCalledTimes(3);
      expect(new Set(told.mock.contexts).size).toBe(1);
    } finally {
      told.mockRestore();
    }
  });

  it.skipIf(!hasProgram("promtool"))("leave promtool nothing to say", async () => {
    const { runs } = madeUpRoot();
    const { body } = await new Metrics(runs).text(NOW);
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: body });
    expect([status, String(stdout), String(stderr)]).toEqual([0, "", ""]);
  });
});
