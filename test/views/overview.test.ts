import { appendFileSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readOverview } from "../../src/views/overview-reading.ts";
import { PipelineMemory } from "../../src/views/pipeline-memory.ts";
import type { Roots } from "../../src/views/roots.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const rootsOf = ({ root, schedules, runs }: TempRoot): Roots => ({ root, schedules, runs });

function daemonLines(made: TempRoot, lines: readonly (readonly [string, string])[]): void {
  mkdirSync(join(made.runs, ".orchd"), { recursive: true });
  const text = lines.map(
    ([time, type]) => `${JSON.stringify({ at: time, type, pid: 1, epoch: 1, version: "0.1.0" })}\n`,
  );
  writeFileSync(join(made.runs, ".orchd", "daemon.jsonl"), text.join(""));
}

describe("the Overview", () => {
  test("answers the five questions", () => {
    const made = madeUpRoot();
    daemonLines(made, [
      [at(0), "daemon.began"],
      [at(3, 50), "daemon.lost"],
      [at(4, 29), "daemon.began"],
      [at(9, 55), "daemon.ended"],
    ]);
    const view = readOverview(rootsOf(made), NOW);
    expect(view.from).toBe(at(1));
    expect(view.slots).toEqual({ total: 9, ran: 5, late: 1, failed: 1, skipped: 1, missed: 3 });
    expect(view.reasons.map(({ decision, because, slots }) => [decision, because, slots])).toEqual([
      ["missed", "it is too old", 3],
      ["skipped", "it is paused", 1],
    ]);
    expect(view.downtimes).toEqual([
      {
        from: at(3, 50),
        to: at(4, 29),
        because: "the daemon was last seen then, and ended without a word",
      },
      { from: at(9, 55), to: null, because: "the daemon ended" },
    ]);
    expect(view.running).toEqual([
      {
        run: idOf("etl", 9),
        pipeline: "etl",
        startedAt: at(9, 0, 1),
        usualMs: 121_000,
        done: 1,
        steps: 2,
        waiting: 0,
      },
    ]);
    expect(view.next.map(({ pipeline, slot }) => [pipeline, slot])).toEqual(
      [11, 12, 13, 14, 15].map((hour) => ["etl", at(hour)]),
    );
    expect(view.changes.map(({ sentence }) => sentence)).toEqual([
      "The daemon ended.",
      "The daemon began (release 0.1.0).",
      "The daemon was last seen, and ended without a word.",
      "bad.yaml is not valid: bad.yaml:1: no",
      "held was paused by alice.",
      "The daemon began (release 0.1.0).",
    ]);
  });

  test("has a row for each pipeline, those that need a person first", () => {
    const { pipelines } = readOverview(rootsOf(madeUpRoot()), NOW);
    expect(pipelines.map(({ name, needsYou }) => [name, needsYou])).toEqual([
      ["bad", true],
      ["etl", false],
      ["held", false],
      ["new", false],
    ]);
    const etl = pipelines[1]!;
    expect(etl.timezones).toEqual(["Europe/Berlin"]);
    expect(etl.strip!.map(({ slot, decision, status }) => [slot, decision, status])).toEqual([
      [at(1), "fired", "completed"],
      [at(2), "fired", "failed"],
      [at(3), "fired", "stopped"],
      [at(4), "caught_up", "completed"],
      [at(5), "skipped", null],
      [at(6), "missed", null],
      [at(7), "missed", null],
      [at(8), "missed", null],
      [at(9), "fired", "running"],
    ]);
    expect(etl.strip![3]).toMatchObject({ lateMs: 1_800_000, durationMs: 121_000 });
    expect(etl.because).toBe(`run ${idOf("etl", 9, 30)} waits: run ${idOf("etl", 9)} goes on`);
    expect(pipelines[0]!.because).toBe("bad.yaml:1: no");
  });

  test("names a failed last run, a missed newest slot and an overdue run as yours", () => {
    const made = tempRoot();
    const fired = (name: string, hour: number, more: object = {}): HandEvent => ({
      type: "slot.fired",
      at: at(hour),
      slot: at(hour),
      run: idOf(name, hour),
      through: at(hour),
      ...more,
    });
    const ended = (name: string, hour: number, status: string): HandEvent => ({
      type: "run.finished",
      at: at(hour, 1),
      run: idOf(name, hour),
      status,
      durationMs: 5_000,
      because: 'step "a" failed: no room',
    });
    const first = { ...loaded("0 * * * *"), at: at(0) };
    writePipeline(made.runs, "fails", [first, fired("fails", 9), ended("fails", 9, "failed")]);
    writePipeline(made.runs, "missed", [
      first,
      { type: "slot.missed", at: at(9), slot: at(9), because: "no daemon was up", through: at(9) },
    ]);
    writePipeline(made.runs, "slow", [
      first,
      fired("slow", 8),
      { type: "run.started", at: at(8), run: idOf("slow", 8) },
      { type: "run.overdue", at: at(8, 30), run: idOf("slow", 8), because: "it takes long" },
    ]);
    writePipeline(made.runs, "well", [first, fired("well", 9), ended("well", 9, "completed")]);
    const { pipelines } = readOverview(rootsOf(made), NOW);
    expect(pipelines.map(({ name, needsYou, because }) => [name, needsYou, because])).toEqual([
      ["fails", true, 'step "a" failed: no room'],
      ["missed", true, "its newest slot was missed: no daemon was up"],
      ["slow", true, `run ${idOf("slow", 8)} takes far longer than its history`],
      ["well", false, null],
    ]);
  });

  test("speaks of the time since the first slot that it counts", () => {
    const made = tempRoot();
    const fires = Array.from({ length: 400 }, (_, index) => {
      const slot = new Date(Date.parse(at(9)) + index * 5_000).toISOString();
      const run = `often@${slot.replaceAll(/[-:]|\.\d+/g, "")}`;
      return { type: "slot.fired", at: slot, slot, run, because: "its slot was due" };
    });
    writePipeline(made.runs, "often", [{ ...loaded("*/5 * * * * *"), at: at(8, 59) }, ...fires]);
    const view = readOverview(rootsOf(made), NOW);
    expect(view.slots.total).toBe(400);
    expect(view.from).toBe(at(9));
  });

  test("of a root with nothing in it is empty", () => {
    const made = tempRoot();
    const view = readOverview(rootsOf(made), NOW);
    expect(view).toMatchObject({ daemon: null, downtimes: [], running: [], next: [], changes: [] });
    expect(view.pipelines).toEqual([]);
    expect(view.slots.total).toBe(0);
  });

  test("says that a ledger is damaged, and shows the rest", () => {
    const made = madeUpRoot();
    const path = new RunStore(made.runs).pipelineLedger("etl");
    appendFileSync(path, '{"seq":99,"b":99,"at":"x","type":"slot.fired","crc":"00000000"}\n{}\n');
    const etl = readOverview(rootsOf(made), NOW).pipelines.find(({ name }) => name === "etl")!;
    expect(etl.valid).toBe(false);
    expect(etl.needsYou).toBe(true);
    expect(etl.because).toMatch(/^its ledger is damaged at line \d+ /);
    expect(etl.strip!).toHaveLength(9);
  });
});

describe("a memory", () => {
  test("ends a silence with its time, and goes back with a clock that is set back", () => {
    const made = madeUpRoot();
    const until = new Date(NOW + 3_600_000).toISOString();
    writePipeline(made.runs, "quiet", [
      { ...loaded("*/10 * * * *"), at: at(10) },
      { type: "pipeline.silenced", at: at(10), until },
    ]);
    const store = new RunStore(made.runs);
    const memory = new PipelineMemory(store);
    expect(memory.view("quiet", NOW)).toMatchObject({ silence: { until } });
    for (const ms of [3_599_999, 3_600_000, 7_200_000, 0, 86_400_000]) {
      const first = new PipelineMemory(store).view("quiet", NOW + ms);
      expect(memory.view("quiet", NOW + ms)).toEqual(first);
    }
  });

  test("gives what a first reading gives, as ledgers grow and time passes", () => {
    const made = madeUpRoot();
    const roots = rootsOf(made);
    const memory = new PipelineMemory(new RunStore(made.runs));
    expect(readOverview(roots, NOW, memory)).toEqual(readOverview(roots, NOW));
    // A slot comes, and its run fails.
    const again = madeUpRoot([
      {
        type: "run.finished",
        at: at(10, 1),
        run: idOf("etl", 9),
        status: "failed",
        because: "no room",
        durationMs: 3_660_000,
      },
    ]);
    const path = (runs: string): string => new RunStore(runs).pipelineLedger("etl");
    copyFileSync(path(again.runs), path(made.runs));
    writePipeline(made.runs, "later", [{ ...loaded("* * * * *"), at: at(10) }]);
    writeRun(made.runs, idOf("later", 10), [header(idOf("later", 10), { a: [] })]);
    for (const later of [60_000, 3_600_000 * 2, 86_400_000 * 3]) {
      const now = NOW + later;
      expect(readOverview(roots, now, memory)).toEqual(readOverview(roots, now));
    }
  });
});
