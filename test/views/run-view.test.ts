/** How a run, a pipeline and two runs compared are told as data: every member, every reason. */
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { countText, listText } from "../../src/core/counted.ts";
import { levels, needsOf, type GraphStep } from "../../src/views/graph.ts";
import { timeText } from "../../src/views/moment.ts";
import { unreadText, viewPipeline } from "../../src/views/pipeline-view.ts";
import { diffRuns } from "../../src/views/run-diff.ts";
import { viewRun } from "../../src/views/run-view.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED: RunEvent = { type: "run.started", because: "scheduled" };

describe("why a run stands as it does", () => {
  const stop: RunEvent = {
    type: "run.stop_requested",
    mode: "graceful",
    because: "asked",
    by: "x",
  };
  const queued: RunEvent = { type: "run.queued", because: "another goes on" };
  it.each<[RunEvent[], string | null]>([
    [[], null],
    [[queued], "another goes on"],
    [[queued, STARTED], "scheduled"],
    [[STARTED, stop], "asked"],
    [[STARTED, { ...stop, because: undefined }], "x asked it to stop"],
    [[STARTED, { ...stop, because: undefined, mode: "force" }], "x asked it to stop by force"],
    [
      [STARTED, stop, { type: "run.finished", status: "stopped", because: "end", durationMs: 1 }],
      "end",
    ],
  ])("after %j it is %j", (events, because) => {
    const run = new GivenRun(snapshotOf([stepSpec("a")])).happen(...events);
    expect(viewRun(run).because).toBe(because);
  });

  it("every member is there, null where there is none yet", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")]));
    const at = new Date(run.now).toISOString();
    expect(viewRun(run)).toEqual({
      run: "p@20261123T020000Z",
      pipeline: "p",
      status: "initializing",
      inProgress: true,
      trigger: { kind: "manual" },
      submittedAt: at,
      startedAt: null,
      finishedAt: null,
      because: null,
      steps: [
        {
          step: "a",
          status: "initializing",
          attempts: 0,
          because: null,
          startedAt: null,
          finishedAt: null,
        },
      ],
    });
    run.now += 1_000;
    run.happen(STARTED);
    run.now += 1_000;
    run.start("a");
    run.now += 1_000;
    run.fail("a").settle();
    const seconds = (count: number): string =>
      new Date(run.now - 3_000 + count * 1_000).toISOString();
    expect(viewRun({ state: run.state, fault: "line 3" })).toMatchObject({
      status: "failed",
      inProgress: false,
      submittedAt: at,
      startedAt: seconds(1),
      finishedAt: seconds(3),
      fault: "line 3",
      steps: [
        {
          status: "failed",
          attempts: 1,
          startedAt: seconds(2),
          finishedAt: seconds(3),
          error: { name: "Error", message: "no" },
        },
      ],
    });
  });
});

describe("a pipeline's entry", () => {
  const NOW = Date.UTC(2026, 10, 23, 10);
  const view = (change: (state: Record<string, unknown>) => void, fault?: string) => {
    const state = emptyPipelineState();
    change(state as unknown as Record<string, unknown>);
    return viewPipeline("p", { state, ...(fault === undefined ? {} : { fault }) }, NOW);
  };
  const unread = "p has not been read yet; `orchd start` reads it, `orchd validate` checks it";

  it.each<[string, (state: Record<string, unknown>) => void, object]>([
    ["was never read", () => undefined, { unread: true, valid: false, errors: [unread] }],
    ["has a text", (it) => (it["digest"] = "d"), { valid: true, errors: [] }],
    ["has a watermark alone", (it) => (it["through"] = 1), { valid: true, errors: [] }],
    ["was bad from the first", (it) => (it["errors"] = ["no"]), { valid: false, errors: ["no"] }],
    ["is gone", (it) => (it["removed"] = true), { removed: true, valid: true, nextFire: null }],
    [
      "came back bad",
      (it) => void ((it["removed"] = true), (it["errors"] = ["no"])),
      { valid: false, errors: ["no"] },
    ],
  ])("that %s", (_, change, members) => {
    const shown = view(change);
    expect(shown).toMatchObject(members);
    expect("unread" in shown).toBe("unread" in members);
    expect("removed" in shown).toBe("removed" in members);
  });

  it("has a fault after the errors, and is invalid with it", () => {
    expect(view((it) => (it["errors"] = ["no"]), "torn")).toMatchObject({
      valid: false,
      errors: ["no", "torn"],
    });
    expect(view((it) => (it["digest"] = "d"), "torn")).toMatchObject({ valid: false });
  });

  it("tells what checks a file", () => {
    expect(unreadText("p", "/s/p.yaml")).toBe(
      "p has not been read yet; `orchd start` reads it, `orchd validate /s/p.yaml` checks it",
    );
  });
});

describe("what changed between two runs of a step", () => {
  const code = (bundle: string, pick = "export:default") =>
    ({ code: { bundle, pick, source: "./x.ts" }, run: undefined }) as Partial<SnapshotStep>;
  const step = (more: Partial<SnapshotStep>): GivenRun =>
    new GivenRun(snapshotOf([stepSpec("up"), stepSpec("a", more)])).happen(STARTED).complete("up");
  it.each<[Partial<SnapshotStep>, Partial<SnapshotStep>, string[]]>([
    [{}, {}, []],
    [code("1"), code("2"), ["code changed"]],
    [code("1"), code("1", "export:other"), ["code changed"]],
    [code("1"), { run: "true" }, ["command changed"]],
    [{ run: "a" }, { run: "b" }, ["command changed"]],
    [{ params: { x: 1, y: 1 } }, { params: { x: 2, z: 1 } }, ["x", "y", "z"].map(param)],
    [{ params: { x: { a: 1, b: 2 } } }, { params: { x: { b: 2, a: 1 } } }, []],
    [{ inputs: { i: { step: "up" } } }, {}, ['input "i" comes from elsewhere']],
    [{}, { inputs: { i: { step: "up" } } }, ['input "i" comes from elsewhere']],
    [
      { inputs: { i: { step: "up" } } },
      { inputs: { i: { step: "up", output: "result" } } },
      ['input "i" comes from elsewhere'],
    ],
    [{ inputs: { i: { step: "up" } } }, { inputs: { i: { step: "up" } } }, []],
    [{ env: { A: "1", B: "1" } }, { env: { A: "2", B: "1" } }, ['env "A" changed']],
    [{ outputs: ["x"] }, {}, ["declared outputs changed"]],
    [{ outputs: ["x"] }, { outputs: ["y"] }, ["declared outputs changed"]],
    [{ outputs: ["x"] }, { outputs: ["x"] }, []],
  ])("%j and %j", (before, after, changes) => {
    const { steps } = diffRuns(step(before).state, step(after).state);
    expect(steps.map(({ step: name }) => name)).toEqual(["up", "a"]);
    expect(steps[1]!.changes).toEqual(changes);
  });

  it("a new step, one that is gone, and an input whose value changed", () => {
    const one = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("old")])).happen(STARTED);
    const reads = stepSpec("b", { inputs: { i: { step: "a", output: "x" } } });
    const two = new GivenRun(snapshotOf([stepSpec("a"), reads], { digest: "e" })).happen(STARTED);
    const diff = diffRuns(one.state, two.state);
    expect(diff.pipelineChanged).toBe(true);
    expect(diffRuns(one.state, one.state).pipelineChanged).toBe(false);
    expect(
      diff.steps.map(({ step: name, before, after, changes }) => [name, before, after, changes]),
    ).toEqual([
      ["a", "initializing", "initializing", []],
      ["old", "initializing", null, ["step is gone"]],
      ["b", null, "initializing", ["new step"]],
    ]);
    const gives = (x: number): GivenRun =>
      new GivenRun(snapshotOf([stepSpec("a"), reads])).happen(STARTED, {
        type: "step.completed",
        step: "a",
        attempt: 1,
        outputs: { x, y: x },
        durationMs: 1,
      });
    expect(diffRuns(gives(1).state, gives(2).state).steps[1]!.changes).toEqual([
      'input "i" changed',
    ]);
    expect(diffRuns(gives(1).state, gives(1).state).steps[1]!.changes).toEqual([]);
  });

  function param(name: string): string {
    return `param "${name}" changed`;
  }
});

it("a step stands one level below the lowest of all that it needs, each need once", () => {
  const step = (name: string, from: string[], after: string[]): GraphStep => ({
    step: name,
    inputs: from.map((need) => ({ name: `of-${need}`, from: need })),
    after,
  });
  const steps = [
    step("a", [], []),
    step("b", ["a"], []),
    step("c", ["a", "a"], ["b", "a"]),
    step("d", ["gone"], []),
    step("e", [], ["c", "d"]),
  ];
  expect([...levels(steps)]).toEqual([
    ["a", 0],
    ["b", 1],
    ["c", 2],
    ["d", 0],
    ["e", 3],
  ]);
  expect(needsOf(steps[2]!)).toEqual(["a", "b"]);
});

it.each<[string, string]>([
  [countText(0, "run"), "0 runs"],
  [countText(1, "run"), "1 run"],
  [countText(2, "run"), "2 runs"],
  [countText(1, "entry", "entries"), "1 entry"],
  [countText(2, "entry", "entries"), "2 entries"],
  [listText([]), ""],
  [listText(["a"]), "a"],
  [listText(["a", "b"]), "a and b"],
  [listText(["a", "b", "c"]), "a, b and c"],
  [timeText(Date.UTC(2026, 10, 23, 2, 3, 4, 999)), "2026-11-23 02:03:04Z"],
  [timeText("2026-11-23T02:03:04.000Z"), "2026-11-23 02:03:04Z"],
  [timeText("no time"), "no time"],
  [timeText(undefined), "-"],
])("%s is %s", (text, expected) => {
  expect(text).toBe(expected);
});
