/** What pruning tells first, removes then, and in which order; and all files of one folder. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { parseRunId, runIdForSlot } from "../../src/core/run-id.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { prune, type PruneOptions } from "../../src/ledger/prune.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { traceDisk } from "../support/traced-disk.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { calm, header } from "./sample-ledgers.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 2);
const iso = (ms: number): string => new Date(ms).toISOString();

/** Pipelines with runs that ended so many days ago; all slots are decided. */
async function rootOf(pipelines: { [name: string]: readonly number[] }): Promise<RunStore> {
  const store = new RunStore(tempRoot().runs);
  for (const [name, days] of Object.entries(pipelines)) {
    const at = days.map((ago) => NOW - ago * DAY);
    const lines = [
      { type: "pipeline.loaded", format: 1, digest: "d", schedules: [], tz: "UTC", tzdata: "x" },
      ...at.map((slot) => ({
        type: "slot.fired",
        slot: iso(slot),
        run: runIdForSlot(name, slot),
        through: iso(slot),
      })),
      ...at.map((slot) => ({
        type: "run.finished",
        run: runIdForSlot(name, slot),
        status: "completed",
        durationMs: 1,
      })),
    ].map((line) => ({ through: iso(NOW - 900 * DAY), ...line }));
    await write(store.pipelineLedger(name), lines, NOW);
    for (const slot of at) {
      const run = runIdForSlot(name, slot);
      const end = { type: "run.finished", status: "completed", because: "all", durationMs: 1 };
      await write(store.runLedger(run), [header(run), end], slot);
      writeFileSync(store.runLog(run), "printed\n");
    }
  }
  return store;
}

async function write(path: string, lines: readonly object[], at: number): Promise<void> {
  const clock = new VirtualClock({ start: at });
  await (await LedgerFile.create(path, lines as { type: string }[], calm({ clock }))).close();
}

const options: PruneOptions = {
  nowMs: NOW,
  policyOf: () => ({ keepDays: 10, keepRuns: 100 }),
};

describe("pruning", () => {
  it("tells each pipeline how many go and until when, before any file goes", async () => {
    const store = await rootOf({ p: [45, 40, 20, 1], q: [30, 2], r: [3] });
    const told: [string, PipelineEvent, number][] = [];
    const count = (): number => store.list("p").length + store.list("q").length;
    const { runs } = await prune(store.runsDir, {
      ...options,
      onPruning: async (pipeline, line) => {
        await new Promise((resolve) => void setImmediate(resolve));
        told.push([pipeline, line, count()]);
      },
    });
    expect(told).toEqual([
      ["p", { type: "runs.pruned", until: iso(NOW - 20 * DAY), runs: 3 }, 6],
      ["q", { type: "runs.pruned", until: iso(NOW - 30 * DAY), runs: 1 }, 6],
    ]);
    expect(runs.map(({ run }) => parseRunId(run)!.pipeline)).toEqual(["p", "p", "p", "q"]);
    expect(count()).toBe(2);
  });

  it("tells nothing of a dry run, and removes nothing", async () => {
    const store = await rootOf({ p: [45, 1] });
    const trace = traceDisk();
    const told: unknown[] = [];
    const dry = {
      ...options,
      dryRun: true,
      onPruning: async (name: string) => void told.push(name),
    };
    expect((await prune(store.runsDir, dry)).runs).toHaveLength(1);
    expect([told, trace.calls]).toEqual([[], []]);
  });

  it("syncs what it read, removes log and ledger of each run, then syncs each folder", async () => {
    const store = await rootOf({ p: [45, 44, 20, 1] });
    const trace = traceDisk();
    await prune(store.runsDir, options);
    expect(trace.underWay.size).toBe(0);
    const [first, second, third] = [45, 44, 20].map((ago) => runIdForSlot("p", NOW - ago * DAY));
    expect(trace.calls).toEqual([
      "sync pipeline.jsonl",
      ...[third, second, first].flatMap((run) => [`unlink ${run}.log`, `unlink ${run}.jsonl`]),
      "sync 2026-05",
      "sync 2026-04",
    ]);
    expect(store.months("p")).toEqual(["2026-06"]);
  });

  it("syncs the ledgers of pipelines that lose a run or a file, and no others", async () => {
    const store = await rootOf({ p: [45, 1], q: [1], r: [], s: [1] });
    const rotated = join(store.pipelineDir("s"), "pipeline-2026-01-01.jsonl");
    writeFileSync(rotated, "old\n");
    utimesSync(rotated, 0, 0);
    const trace = traceDisk();
    const done = await prune(store.runsDir, options);
    expect([done.runs.length, done.files, existsSync(rotated)]).toEqual([1, 1, false]);
    expect(trace.calls.filter((call) => call === "sync pipeline.jsonl")).toHaveLength(2);
  });

  it("reads no ledger of a pipeline without runs, and one of a pipeline with any", async () => {
    const store = await rootOf({ p: [45, 1] });
    const artifact = join(store.artifacts, "0".repeat(64));
    mkdirSync(store.artifacts, { recursive: true });
    // Nothing is swept if the runs of a pipeline are not known.
    const isSwept = async (): Promise<boolean> => {
      writeFileSync(artifact, "unused");
      utimesSync(artifact, 0, 0);
      await prune(store.runsDir, options);
      return !existsSync(artifact);
    };
    mkdirSync(join(store.pipelineLedger("unreadable"), "folder"), { recursive: true });
    mkdirSync(join(store.pipelineDir("unreadable"), "2026-05"));
    expect(await isSwept()).toBe(true);
    const run = runIdForSlot("unreadable", NOW - DAY);
    await write(store.runLedger(run), [header(run)], NOW - DAY);
    expect(await isSwept()).toBe(false);
  });

  it("removes an empty month that is over, of a pipeline without runs too", async () => {
    const store = await rootOf({ p: [] });
    const months = ["2026-05", "2026-06", "2026-07"].map((name) =>
      join(store.pipelineDir("p"), name),
    );
    for (const month of months) mkdirSync(month);
    const left = join(months[0]!, ".p.jsonl.1-1");
    writeFileSync(left, "");
    utimesSync(left, 0, 0);
    await prune(store.runsDir, options);
    expect(months.filter((month) => existsSync(month))).toEqual(months.slice(1));
  });

  it("removes each piece of evidence beside one ledger, and each without a ledger", async () => {
    const store = await rootOf({ p: [1] });
    const month = join(store.pipelineDir("p"), "2026-06");
    mkdirSync(month, { recursive: true });
    const paths = [
      join(store.pipelineDir("p"), "pipeline.jsonl.damaged-1"),
      join(store.pipelineDir("p"), "pipeline.jsonl.damaged-2"),
      ...["a", "b"].flatMap((name) =>
        [1, 2].map((n) => join(month, `p@20260601T00000${n}Z.jsonl.damaged-${name}${n}`)),
      ),
      join(month, "p@20260601T000003Z.jsonl.damaged-1"),
      join(month, "p@20260601T000003Z.jsonl.damaged-2"),
      join(month, "p@20260601T000004Z.jsonl.damaged-1"),
    ];
    for (const path of paths) writeFileSync(path, "evidence\n");
    const done = await prune(store.runsDir, { ...options, nowMs: Date.now() + 30 * DAY });
    // A name that a repair never gives is no evidence.
    expect(paths.filter((path) => existsSync(path))).toEqual(
      paths.filter((path) => /-[ab]\d$/.test(path)),
    );
    expect([done.files, done.bytes]).toEqual([5, 45]);
  });

  it("counts the bytes of a run with its log and all evidence beside it", async () => {
    const store = await rootOf({ p: [45, 1] });
    const run = runIdForSlot("p", NOW - 45 * DAY);
    const bytes = async (): Promise<number> =>
      (await prune(store.runsDir, { ...options, dryRun: true })).bytes;
    const before = await bytes();
    for (const n of [1, 2, 3])
      writeFileSync(`${store.runLedger(run)}.damaged-${n}`, "x".repeat(100));
    expect((await bytes()) - before).toBe(300);
    writeFileSync(store.runLog(run), "x".repeat(1_008));
    expect((await bytes()) - before).toBe(300 + 1_000);
  });

  it("keeps whose results are used, by way of others too, with many runs that stay", async () => {
    const store = await rootOf({
      p: [45, 44, 43, 42, 1],
      q: Array.from({ length: 9 }, (_, n) => n),
    });
    const at = (name: string, ago: number): string => runIdForSlot(name, NOW - ago * DAY);
    const takes = async (run: string, from: string): Promise<void> => {
      rmSync(store.runLedger(run));
      const source = { run: from, step: "a" };
      const cached = { type: "step.cached", step: "a", source, outputs: {}, because: "same key" };
      const end = { type: "run.finished", status: "completed", because: "all", durationMs: 1 };
      await write(store.runLedger(run), [header(run), cached, end], parseRunId(run)!.stampMs);
    };
    // The last run that is looked at uses one whose ledger uses another.
    await takes(at("q", 8), at("p", 44));
    await takes(at("p", 44), at("p", 45));
    const dry = await prune(store.runsDir, { ...options, dryRun: true });
    expect(dry.runs.map(({ run }) => run).toSorted()).toEqual([at("p", 43), at("p", 42)]);
    const because = (run: string): string => `${run} took a result from it`;
    expect(dry.kept).toEqual([
      { run: at("p", 45), because: because(at("p", 44)) },
      { run: at("p", 44), because: because(at("q", 8)) },
    ]);
    expect(await prune(store.runsDir, options)).toEqual(dry);
    expect(store.list("p").toSorted()).toEqual([45, 44, 1].map((ago) => at("p", ago)));
  });

  it("goes on beside a run of a newer release, which stays", async () => {
    const store = await rootOf({ p: [45, 44, 1] });
    const newer = runIdForSlot("p", NOW - 45 * DAY);
    rmSync(store.runLedger(newer));
    const clock = new VirtualClock({ start: NOW - 45 * DAY });
    const lines = [{ ...header(newer), format: 2 }];
    const file = await LedgerFile.create(store.runLedger(newer), lines, calm({ clock, format: 2 }));
    await file.close();
    const { runs } = await prune(store.runsDir, options);
    expect(runs.map(({ run }) => run)).toEqual([runIdForSlot("p", NOW - 44 * DAY)]);
    expect(store.list("p")).toEqual([newer, runIdForSlot("p", NOW - DAY)]);
  });

  it("keeps a run that a re-run goes by, and counts only the bytes that go", async () => {
    // The only run of `r` is too old as well, and stays because it is the newest.
    const store = await rootOf({ p: [45, 44, 1], q: [0], r: [40] });
    const at = (name: string, ago: number): string => runIdForSlot(name, NOW - ago * DAY);
    const rerun = at("q", 0);
    rmSync(store.runLedger(rerun));
    await write(store.runLedger(rerun), [header(rerun, { reuse: { a: at("p", 44) } })], NOW);
    const size = [store.runLedger(at("p", 45)), store.runLog(at("p", 45))]
      .map((path) => statSync(path).size)
      .reduce((sum, one) => sum + one);
    const done = await prune(store.runsDir, options);
    expect(done.runs.map(({ run }) => run)).toEqual([at("p", 45)]);
    expect(done.kept).toEqual([
      { run: at("r", 40), because: "it is the newest" },
      { run: at("p", 44), because: `${rerun} took a result from it` },
    ]);
    expect(done.bytes).toBe(size);
  });

  it("removes a month that evidence leaves", async () => {
    const store = await rootOf({ p: [1] });
    const month = join(store.pipelineDir("p"), "2026-04");
    mkdirSync(month);
    writeFileSync(join(month, "p@20260401T000000Z.jsonl.damaged-1"), "evidence");
    // It is as old as its last change, and nobody can set that.
    await prune(store.runsDir, { ...options, nowMs: Date.now() + 30 * DAY });
    expect(existsSync(month)).toBe(false);
  });

  it("removes a dot-name that is older than an hour", async () => {
    const store = await rootOf({ p: [1] });
    const young = join(store.pipelineDir("p"), ".pipeline.jsonl.1-1");
    const old = join(store.pipelineDir("p"), ".pipeline.jsonl.1-2");
    for (const [path, age] of [
      [young, 3_600_000],
      [old, 3_601_000],
    ] as const) {
      writeFileSync(path, "x");
      utimesSync(path, (NOW - age) / 1_000, (NOW - age) / 1_000);
    }
    await prune(store.runsDir, options);
    expect([young, old].map((path) => existsSync(path))).toEqual([true, false]);
  });

  it("removes only months that are over, and leaves what is no run", async () => {
    const store = await rootOf({ p: [45, 1] });
    for (const month of ["2026-01", "2026-06", "2026-07"])
      mkdirSync(join(store.pipelineDir("p"), month), { recursive: true });
    writeFileSync(join(store.pipelineDir("p"), "2026-04", "notes.txt"), "mine");
    await prune(store.runsDir, options);
    expect(store.months("p")).toEqual(["2026-04", "2026-06", "2026-07"]);
    expect(readdirSync(join(store.pipelineDir("p"), "2026-04"))).toEqual(["notes.txt"]);
  });
});
