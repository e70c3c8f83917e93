/** What views say of a made-up root: who is told of a pipeline, which runs go on, what is gone. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { activeRunIds } from "../../src/views/active-run-ids.ts";
import { FollowedRun } from "../../src/views/followed-run.ts";
import { runGraph } from "../../src/views/graph.ts";
import { readHere } from "../../src/views/here.ts";
import { readPastStatus } from "../../src/views/past-status.ts";
import { readPipelineFile } from "../../src/views/pipeline-file.ts";
import { pipelineFiles, unreadFiles } from "../../src/views/pipeline-file-list.ts";
import { allToldOf, pipelineLines, slotsBetween, toldOf } from "../../src/views/pipeline-facts.ts";
import { readRunCursor, readRunPages, type RunPages } from "../../src/views/run-pages.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { ledgerText, loaded, runPath, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { completedRun, header } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Two pipelines of which one is told of, and one whose ledger cannot be read. */
function toldRoot(): RunStore {
  const { runs } = tempRoot();
  const about = { tags: ["night"], notify: ["ops"] };
  writePipeline(runs, "a", [
    { ...loaded("*/10 * * * *"), ...about },
    { type: "pipeline.paused", by: "ann" },
    { type: "pipeline.silenced", until: at(11), because: "upkeep", by: "ann" },
  ]);
  writePipeline(runs, "b", [{ type: "pipeline.invalid", file: "/s/b.yaml", errors: ["no"] }]);
  mkdirSync(join(runs, "broken/pipeline.jsonl"), { recursive: true });
  mkdirSync(join(runs, "none"));
  return new RunStore(runs);
}

describe("who is told of a pipeline", () => {
  it("its tags, its own rules, and whether it is paused or silent", () => {
    const store = toldRoot();
    const a = {
      pipeline: "a",
      tags: ["night"],
      notify: ["ops"],
      paused: true,
      silence: { until: at(11), because: "upkeep", by: "ann" },
    };
    expect(toldOf(store, "a")).toEqual(a);
    expect(["broken", "none", "nobody"].map((name) => toldOf(store, name))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const all = [...allToldOf(store)];
    expect(all.map(({ pipeline }) => pipeline)).toEqual(["a", "b"]);
    expect(all[0]).toEqual(a);
  });

  it.each<[string, string, string, number | undefined]>([
    ["a", at(3), at(3, 30), 4],
    ["a", at(3, 0, 1), at(3, 29, 59), 2],
    // No more are counted.
    ["a", at(3), "2027-01-01T00:00:00Z", 1_000],
    ["b", at(3), at(4), undefined],
    ["broken", at(3), at(4), undefined],
    ["nobody", at(3), at(4), undefined],
  ])("%s has from %s through %s so many slots: %s", (name, from, until, count) => {
    expect(slotsBetween(toldRoot(), name, Date.parse(from), Date.parse(until))).toBe(count);
  });

  it("its lines come oldest first, with where they stand", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "a", [loaded("* * * * *"), { type: "pipeline.paused", by: "ann" }]);
    const lines = [...pipelineLines(new RunStore(runs), "a")];
    expect(lines.map(({ file, seq, line }) => [file, seq, line["type"]])).toEqual([
      ["a/pipeline.jsonl", 1, "pipeline.loaded"],
      ["a/pipeline.jsonl", 2, "pipeline.paused"],
    ]);
  });
});

it("the runs that go on are those that the pipelines' ledgers call so", () => {
  const store = new RunStore(madeUpRoot().runs);
  const ids = [idOf("etl", 9), idOf("etl", 9, 30)];
  expect(activeRunIds(store)).toEqual(ids);
  expect(activeRunIds(toldRoot())).toEqual([]);
});

it("the runs of a moment whose ledgers are gone are named, the last one of a pipeline too", () => {
  const store = new RunStore(madeUpRoot().runs);
  const missingAt = (hour: number, ...gone: readonly string[]): unknown => {
    for (const run of gone) rmSync(runPath(store.runsDir, run));
    const read = readPastStatus(store, "etl", Date.parse(at(hour, 45)));
    return read.ok ? read.view.missing : read;
  };
  expect(missingAt(1)).toEqual([]);
  expect(missingAt(1, idOf("etl", 1))).toEqual([idOf("etl", 1)]);
  expect(missingAt(9, idOf("etl", 9), idOf("etl", 9, 30))).toEqual([
    idOf("etl", 9),
    idOf("etl", 9, 30),
  ]);
});

it("a page's frame says where it is, and what may be asked", () => {
  const made = madeUpRoot();
  const here = readHere({ root: made.root }, new RunStore(made.runs), "operate", NOW);
  expect(here).toEqual({
    at: at(10),
    host: hostname(),
    root: made.root,
    daemon: null,
    may: "operate",
  });
});

it("a run's graph says whether a function decides its steps", () => {
  const dynamic = { bundle: "b", pick: "function", source: "p.ts" };
  const graph = (more: object): unknown =>
    runGraph(new GivenRun(snapshotOf([stepSpec("a")], more)).state);
  const steps = [{ step: "a", inputs: [], after: [], status: "initializing" }];
  const head = { name: "p@20261123T020000Z", status: "initializing", steps };
  expect(graph({})).toEqual({ ...head, dynamic: false });
  expect(graph({ dynamic })).toEqual({ ...head, dynamic: true });
});

it("a run is followed from before its first line, whatever else stands there", () => {
  const { runs } = tempRoot();
  const run = "p@20261123T020000Z";
  const followed = new FollowedRun(new RunStore(runs), run);
  expect([followed.read(), followed.state]).toEqual([[], undefined]);
  const events = completedRun(run);
  const path = writeRun(runs, run, events.slice(0, 2));
  appendFileSync(path, "no line\n");
  expect(followed.read().map(({ type }) => type)).toEqual(["run.submitted", "run.started"]);
  expect(followed.state?.phase).toBe("started");
  appendFileSync(path, ledgerText(events).split("\n").slice(2).join("\n"));
  expect(followed.read().map(({ type }) => type)).toEqual([
    "step.started",
    "step.completed",
    "run.finished",
  ]);
  expect(followed.state?.finished?.status).toBe("completed");
  followed.close();
});

it.each(["removed", "cut off"])(
  "a run is over whose ledger is %s, once its pipeline's says so",
  (lost) => {
    const { runs } = tempRoot();
    const run = "p@20261123T020000Z";
    const path = writeRun(runs, run, completedRun(run).slice(0, 3));
    const began = { type: "run.started", run, trigger: "schedule" };
    writePipeline(runs, "p", [began]);
    const followed = new FollowedRun(new RunStore(runs), run);
    onTestFinished(() => followed.close());
    const looks = (count: number): number => {
      let lines = 0;
      for (let look = 0; look < count; look += 1) lines += followed.read().length;
      return lines;
    };
    expect(looks(100)).toBe(3);
    if (lost === "removed") rmSync(path);
    else appendFileSync(path, '{"seq":4,"ty');
    expect([looks(2_000), followed.isOver]).toEqual([0, false]);
    const ended = { type: "run.finished", run, status: "failed", because: "x", durationMs: 0 };
    writePipeline(runs, "p", [began, ended]);
    expect([looks(2_000), followed.isOver]).toEqual([0, true]);
    expect(followed.state?.phase).toBe("started");
    expect(followed.endLost).toBe(
      `run ${run} has ended, and its ledger lost how: it was damaged or removed. ` +
        "`orchd verify` says what is wrong with it.",
    );
  },
);

it("a run's own end counts, though its pipeline's ledger tells one first", () => {
  const { runs } = tempRoot();
  const run = "p@20261123T020000Z";
  const events = completedRun(run);
  const path = writeRun(runs, run, events.slice(0, -1));
  const ended = { type: "run.finished", run, status: "completed", because: "x", durationMs: 0 };
  writePipeline(runs, "p", [ended]);
  const followed = new FollowedRun(new RunStore(runs), run);
  onTestFinished(() => followed.close());
  for (let look = 0; look < 6; look += 1) followed.read();
  writeFileSync(path, ledgerText(events));
  followed.read();
  expect([followed.isOver, followed.endLost]).toEqual([true, undefined]);
  expect(followed.state?.finished?.status).toBe("completed");
});

describe("a pipeline's file", () => {
  const faultsOf = (...errors: readonly string[]): unknown => {
    const made = tempRoot({ "schedules/p.yaml": "steps: {}\n" });
    writePipeline(made.runs, "p", [
      { type: "pipeline.invalid", file: join(made.schedules, "p.yaml"), errors },
    ]);
    const read = readPipelineFile(made, "p");
    return read.ok ? read.page.faults : read;
  };

  it("is marked at the lines of its faults", () => {
    expect(
      faultsOf(
        "schedules/p.yaml:3:5: schedule.cronn is not known here",
        "p.yaml:1:1: a: b:2:3: c",
        "steps/a.ts:3:5: no",
        "it is bad",
        ":3:5: no",
        "x\np.yaml:3:5: y",
      ),
    ).toEqual([
      { line: 3, text: "schedule.cronn is not known here" },
      { line: 1, text: "a: b:2:3: c" },
      { line: null, text: "steps/a.ts:3:5: no" },
      { line: null, text: "it is bad" },
      { line: null, text: ":3:5: no" },
      { line: null, text: "x\np.yaml:3:5: y" },
    ]);
  });

  it("is listed by its name, and unread where no ledger names it", () => {
    const { schedules } = tempRoot({
      "schedules/c.yaml": "",
      "schedules/a.json": "",
      "schedules/b.ts": "",
      "schedules/b.d.ts": "",
      "schedules/notes.txt": "",
      "schedules/steps/d.yaml": "",
    });
    mkdirSync(join(schedules, "e.yaml"));
    expect(pipelineFiles(schedules)).toEqual(["a.json", "b.ts", "c.yaml"]);
    expect(pipelineFiles(join(schedules, "none"))).toEqual([]);
    const views = [
      { name: "x", file: "/elsewhere/c.yaml" },
      { name: "b", file: null },
    ];
    expect(unreadFiles(schedules, views as never)).toEqual(["a.json"]);
  });
});

it("pages of runs end and begin anywhere, also among runs of one moment", () => {
  const { runs } = tempRoot();
  const moment = at(5);
  for (const pipeline of ["a", "b", "c"]) {
    const ids = [1, 2].map((minute) => idOf(pipeline, 2, minute));
    writePipeline(runs, pipeline, [
      { ...loaded("* * * * *"), at: at(1) },
      ...ids.map((run) => ({ type: "run.queued", at: moment, run, because: "x" })),
    ]);
    for (const run of ids) writeRun(runs, run, [{ ...header(run, { s: [] }), at: moment }]);
  }
  const store = new RunStore(runs);
  const page = (limit: number, cursor: string | null) =>
    readRunPages(store, ["a", "b", "c"], {
      filter: {} as never,
      q: undefined,
      from: cursor === null ? undefined : readRunCursor(cursor)!,
      limit,
    });
  const whole = page(99, null).runs.map(({ run }) => run);
  expect(whole).toHaveLength(6);
  for (const limit of [1, 2, 4]) {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const { runs: some, cursor: next } = page(limit, cursor);
      found.push(...some.map(({ run }) => run));
      cursor = next;
    } while (cursor !== null);
    expect(found).toEqual(whole);
  }
  // The page that was read first says up to when runs count for the others.
  const [newest, older] = [idOf("c", 4), idOf("c", 3)];
  writePipeline(runs, "c", [
    { ...loaded("* * * * *"), at: at(1) },
    { type: "run.queued", at: at(8), run: older, because: "x" },
    { type: "run.queued", at: at(9), run: newest, because: "x" },
  ]);
  for (const run of [newest, older]) writeRun(runs, run, [header(run, { s: [] })]);
  const { cursor } = page(1, page(1, null).cursor);
  expect(readRunCursor(cursor!)).toMatchObject({ top: at(9), at: at(8), run: older });
  writeFileSync(join(runs, "x"), "");
  for (const text of ["", "e30", "x", Buffer.from('{"top":1}').toString("base64url")])
    expect(readRunCursor(text)).toBeNull();
});

it("pages of runs hold those, too, that a clock made before it was set back", () => {
  const { runs } = tempRoot();
  const written = { a: [1, 8, 9, 3, 4], b: [2, 3, 5] };
  for (const [pipeline, hours] of Object.entries(written)) {
    writePipeline(
      runs,
      pipeline,
      hours.map((hour) => ({ type: "run.queued", at: at(hour), run: idOf(pipeline, hour) })),
    );
    for (const hour of hours) {
      const run = idOf(pipeline, hour);
      writeRun(runs, run, [{ ...header(run, { s: [] }), at: at(hour) }]);
    }
  }
  const found: string[] = [];
  let cursor: string | null = null;
  do {
    const page: RunPages = readRunPages(new RunStore(runs), ["a", "b"], {
      filter: {} as never,
      q: undefined,
      from: cursor === null ? undefined : readRunCursor(cursor)!,
      limit: 1,
    });
    found.push(...page.runs.map(({ run }) => run));
    cursor = page.cursor;
  } while (cursor !== null);
  const newestFirst = ["b 5", "a 4", "a 3", "a 9", "a 8", "b 3", "b 2", "a 1"];
  expect(found).toEqual(
    newestFirst.map((one) => idOf(one.split(" ")[0]!, Number(one.split(" ")[1]))),
  );
});
