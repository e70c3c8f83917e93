/** Each column and word of `orchd runs`, `diff`, `graph`, `logs` and `why`, by ledgers by hand. */
import { appendFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { run as runDiff } from "../../src/cli/commands/diff.ts";
import { run as runGraph } from "../../src/cli/commands/graph.ts";
import { run as runLogs } from "../../src/cli/commands/logs.ts";
import { run as runRuns } from "../../src/cli/commands/runs.ts";
import { run as runWhy } from "../../src/cli/commands/why.ts";
import { STATUSES } from "../../src/core/status.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { command, type ToldTerminal } from "../support/told-terminal.ts";

const idOf = (minute: number): string => `p@20261123T02${String(minute).padStart(2, "0")}00Z`;
const slotOf = (minute: number): string =>
  new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
const ENDS = ["completed", "failed", "stopped", "cached"] as const;

/** One run of each end, a run that goes on, and slots without a run. */
function history(): TempRoot {
  const made = tempRoot();
  const fired = (minute: number, run = idOf(minute)) => ({
    type: "slot.fired",
    at: slotOf(minute),
    slot: slotOf(minute),
    run,
    through: slotOf(minute),
  });
  const skipped = {
    type: "slot.skipped",
    at: slotOf(20),
    slot: slotOf(20),
    because: "it is paused",
  };
  const until = { until: slotOf(23), through: slotOf(23) };
  writePipeline(made.runs, "p", [
    { ...loaded("* * * * *"), at: "2026-11-22T00:00:00.000Z" },
    ...ENDS.map((_, index) => fired(index)),
    ...ENDS.map((status, index) => ({
      type: "run.finished",
      at: slotOf(index + 5),
      run: idOf(index),
      status,
      durationMs: 300_000,
    })),
    fired(10),
    { ...skipped, through: slotOf(20) },
    { ...skipped, type: "slot.missed", at: slotOf(30), slot: slotOf(21), ...until },
  ]);
  for (const [index, status] of ENDS.entries())
    writeRun(made.runs, idOf(index), [
      { ...header(idOf(index), { a: [] }), at: slotOf(index) },
      { type: "run.started", at: slotOf(index + 1), because: "scheduled" },
      {
        type: "run.finished",
        at: slotOf(index + 5),
        status,
        because: `why ${index}`,
        durationMs: 1,
      },
    ]);
  writeRun(made.runs, idOf(10), [{ ...header(idOf(10), { a: [] }), at: slotOf(10) }]);
  return made;
}

describe("orchd runs", () => {
  it.each([
    ["slot.skipped", "1 slot of p skipped, 0 missed"],
    ["slot.missed", "0 slots of p skipped, 1 missed"],
  ])("says how many slots have no run, where it is only %s", async (type, text) => {
    const made = tempRoot();
    const slot = { at: slotOf(20), slot: slotOf(20), through: slotOf(20), because: "x" };
    writePipeline(made.runs, "p", [
      { ...loaded("* * * * *"), at: slotOf(0) },
      { type, ...slot, ...(type === "slot.missed" ? { until: slotOf(20), count: 1 } : {}) },
    ]);
    const { terminal } = await command(runRuns, made, { pipeline: "p" });
    expect(terminal.notes.join("\n")).toContain(`${text}; \`orchd why p TIME\` says why.`);
  });

  it("has a row for each run, newest first", async () => {
    const { terminal } = await command(runRuns, history(), { pipeline: "p" });
    const row = (mark: string, index: number, text: string): string[] => [
      mark,
      idOf(index),
      text,
      "schedule",
      `2026-11-23 02:0${index + 1}:00Z`,
      "4m",
      `why ${index}`,
    ];
    expect(terminal.cells.map((cells) => cells.filter((cell) => cell !== ""))).toEqual([
      ["RUN", "STATUS", "TRIGGER", "STARTED", "TOOK", "BECAUSE"],
      ["·", idOf(10), "initializing", "schedule", "-", "-"],
      row("=", 3, "cached"),
      row("■", 2, "stopped"),
      row("✗", 1, "failed"),
      row("✓", 0, "completed"),
    ]);
    expect(terminal.notes).toEqual(["1 slot of p skipped, 1 missed; `orchd why p TIME` says why."]);
  });

  it.each([
    [82, ["RUN", "STATUS", "TRIGGER", "STARTED", "TOOK", "BECAUSE"]],
    [81, ["RUN", "STATUS", "STARTED", "TOOK", "BECAUSE"]],
    [72, ["RUN", "STATUS", "STARTED", "TOOK", "BECAUSE"]],
    [71, ["RUN", "STATUS", "TOOK", "BECAUSE"]],
  ])("in %i columns leaves out first what a run's id says", async (columns, titles) => {
    const { terminal } = await command(runRuns, history(), { pipeline: "p" }, columns);
    expect(terminal.cells[0]!.filter((cell) => cell !== "")).toEqual(titles);
  });

  it("shows each status alone, and no other", async () => {
    const roots = history();
    for (const status of STATUSES) {
      const { terminal } = await command(runRuns, roots, { status, json: true });
      const index = ENDS.indexOf(status as never);
      const runs = status === "initializing" ? [idOf(10)] : index < 0 ? [] : [idOf(index)];
      expect((terminal.values[0] as { run: string }[]).map(({ run }) => run)).toEqual(runs);
    }
    const none = await command(runRuns, roots, { status: "retried" });
    expect(none.terminal.notes).toEqual(["no such runs."]);
    expect(none.status).toBe(0);
    const wrong = await command(runRuns, roots, { status: "done" });
    expect(wrong).toMatchObject({
      status: 2,
      sentence: `--status: "done" is no status; the statuses are ${STATUSES.join(", ")}.`,
    });
  });

  it("stops at --number, by default after 20", async () => {
    const made = tempRoot();
    const minutes = Array.from({ length: 22 }, (_, index) => index);
    writePipeline(made.runs, "p", [
      loaded("* * * * *"),
      ...minutes.map((minute) => ({ type: "run.started", at: slotOf(minute), run: idOf(minute) })),
    ]);
    for (const minute of minutes)
      writeRun(made.runs, idOf(minute), [header(idOf(minute), { a: [] })], slotOf(minute));
    const count = async (values: object): Promise<number> =>
      ((await command(runRuns, made, { json: true, ...values })).terminal.values[0] as []).length;
    expect(await count({})).toBe(20);
    expect(await count({ number: "1" })).toBe(1);
    expect(await count({ number: "21" })).toBe(21);
    expect(await count({ number: "99" })).toBe(22);
  });
});

describe("orchd why", () => {
  const answers = async (time?: string): Promise<string[]> =>
    (await command(runWhy, history(), { pipeline: "p", ...(time === undefined ? {} : { time }) }))
      .terminal.lines;
  const missed = (minute: number): string =>
    `the slot ${slotOf(minute)} of p was missed: it is paused.`;

  it.each<[string, string[]]>([
    [slotOf(0), [`fired at ${slotOf(0)} and made the run ${idOf(0)}, which is completed.`]],
    [slotOf(1), [`fired at ${slotOf(1)} and made the run ${idOf(1)}, which is failed.`]],
    [slotOf(10), [`fired at ${slotOf(10)} and made the run ${idOf(10)}, which is initializing.`]],
    [slotOf(20), ["was skipped: it is paused."]],
  ])("%s", async (time, ends) => {
    expect(await answers(time)).toEqual(ends.map((end) => `the slot ${time} of p ${end}`));
  });

  it("answers for each slot of a stretch, and for no slot beside it", async () => {
    for (const minute of [21, 22, 23])
      expect(await answers(slotOf(minute))).toEqual([missed(minute)]);
    expect(await answers(slotOf(24))).toEqual([
      `the slot ${slotOf(24)} of p is due and not decided yet: no daemon runs; ` +
        "it is decided once `orchd start` runs.",
    ]);
    expect(await answers("2026-11-23T02:22:30Z")).toEqual([
      `no slot of p at 2026-11-23T02:22:30.000Z was due; the one before is ${slotOf(22)} and ` +
        `the one after ${slotOf(23)}.`,
    ]);
  });

  it("speaks of the newest decided slot without a time", async () => {
    expect(await answers()).toEqual([missed(23)]);
  });

  it("looks at the whole minute of a time without seconds, at one second of another", async () => {
    const made = tempRoot();
    const slots = [
      "2026-11-23T02:00:00.000Z",
      "2026-11-23T02:00:59.000Z",
      "2026-11-23T02:01:00.000Z",
    ];
    writePipeline(made.runs, "p", [
      { ...loaded("* * * * * *"), at: "2026-11-22T00:00:00.000Z" },
      ...slots.map((slot) => ({
        type: "slot.skipped",
        slot,
        at: slot,
        because: "x",
        through: slot,
      })),
    ]);
    const found = async (time: string): Promise<(string | null)[]> => {
      const { values } = (await command(runWhy, made, { pipeline: "p", time, json: true }))
        .terminal;
      return values.flat().map((value) => (value as { slot: string | null }).slot);
    };
    expect(await found("2026-11-23T02:00Z")).toEqual(slots.slice(0, 2));
    expect(await found("2026-11-23 02:00")).toEqual(slots.slice(0, 2));
    expect(await found("2026-11-23T03:00+01:00")).toEqual(slots.slice(0, 2));
    for (const slot of slots) expect(await found(slot)).toEqual([slot]);
    expect(await found("2026-11-23T02:01:00.999Z")).toEqual([slots[2]]);
  });
});

/** Two runs of one pipeline. */
function twoRuns(): TempRoot {
  const made = tempRoot();
  const long = "x".repeat(58);
  const ran = (step: string, because: string) => [
    { type: "step.started", step, attempt: 1, because },
    { type: "step.completed", step, attempt: 1, outputs: { result: null }, durationMs: 1 },
  ];
  writePipeline(made.runs, "p", [loaded("* * * * *")]);
  const steps = { a: [], b: ["a"], c: ["a"] };
  writeRun(made.runs, idOf(1), [
    header(idOf(1), steps, { params: { n: 1, s: long, same: 1 } }),
    { type: "run.started", because: "scheduled" },
    ...ran("a", "ready"),
    { type: "step.skipped", step: "b", because: 'its condition is false: "x"' },
  ]);
  writeRun(made.runs, idOf(2), [
    header(idOf(2), steps, { params: { s: `${long}x`, same: 1 } }),
    { type: "run.started", because: "scheduled" },
    ...ran("a", "all it needs is there"),
    ...ran("b", "all it needs is there"),
    { type: "step.skipped", step: "c", because: "no" },
  ]);
  return made;
}

it("orchd diff has a row for each step, and a line for each param that differs", async () => {
  const { terminal } = await command(runDiff, twoRuns(), { run: idOf(1), other: idOf(2) });
  const long = "x".repeat(58);
  expect(terminal.lines.slice(0, 2)).toEqual([
    'param "n": 1 became nothing',
    // 60 characters with the quotes are whole, 61 are cut to 60.
    `param "s": "${long}" became "${long}…`,
  ]);
  expect(terminal.cells.slice(2)).toEqual([
    ["STEP", "BEFORE", "AFTER", "RAN ANEW", "WHAT CHANGED"],
    ["a", "completed", "completed", "yes", "all it needs is there"],
    ["b", "skipped", "completed", "yes", 'was skipped: its condition is false: "x"'],
    ["c", "initializing", "skipped", "no", "skipped: no"],
  ]);
  expect(terminal.notes).toEqual([]);
});

it("orchd graph indents a step below all that it needs, and names each need once", async () => {
  const made = tempRoot();
  const head = header(idOf(1), { a: [], b: ["a"], c: ["a", "b"], d: [] });
  const { snapshot } = head as unknown as { snapshot: { steps: { inputs: object }[] } };
  snapshot.steps[2]!.inputs = { x: { step: "a", output: "rows" }, y: { step: "a" } };
  writeRun(made.runs, idOf(1), [
    head,
    { type: "run.started", because: "scheduled" },
    { type: "step.started", step: "a", attempt: 1, because: "ready" },
  ]);
  const drawn = async (values: object): Promise<ToldTerminal> =>
    (await command(runGraph, made, { target: idOf(1), ...values })).terminal;
  expect((await drawn({})).lines).toEqual([
    `${idOf(1)} running`,
    "  ▸ a  running",
    "    · b  ← after a  initializing",
    "      · c  ← x = a.rows, y = a, after b  initializing",
    "  · d  initializing",
  ]);
  expect((await drawn({ format: "mermaid" })).text).toBe(
    'flowchart TD\n  s0["a: running"]\n  s1["b: initializing"]\n  s0 -.-> s1\n' +
      '  s2["c: initializing"]\n  s0 -->|"x: rows"| s2\n  s0 -->|"y"| s2\n  s1 -.-> s2\n' +
      '  s3["d: initializing"]\n',
  );
  expect((await drawn({ format: "dot" })).text).toBe(
    `digraph "${idOf(1)}" {\n  rankdir=TB;\n` +
      '  node [shape=box, style=rounded, fontname="sans-serif"];\n' +
      '  "a" [label="a\\nrunning"];\n  "b" [label="b\\ninitializing"];\n' +
      '  "a" -> "b" [style=dashed];\n  "c" [label="c\\ninitializing"];\n' +
      '  "a" -> "c" [label="x"];\n  "a" -> "c" [label="y"];\n' +
      '  "b" -> "c" [style=dashed];\n  "d" [label="d\\ninitializing"];\n}\n',
  );
  expect((await drawn({ json: true })).values).toMatchObject([
    {
      name: idOf(1),
      dynamic: false,
      status: "running",
      steps: [{}, {}, { needs: ["a", "b"] }, {}],
    },
  ]);
});

describe("orchd logs", () => {
  const at = "2026-11-23T02:00:01.234Z";
  const printed = (): TempRoot => {
    const made = tempRoot();
    const error = {
      name: "E",
      message: "no",
      stack: "E: no\n    at x",
      cause: { name: "F", message: "why" },
    };
    writeRun(made.runs, idOf(1), [
      header(idOf(1), { a: [], long: [] }),
      { type: "run.started", because: "scheduled" },
      { type: "step.started", step: "long", attempt: 1, because: "ready" },
      { type: "step.failed", step: "long", attempt: 1, error },
    ]);
    const log = new RunStore(made.runs).runLog(idOf(1));
    writeFileSync(log, "");
    for (const line of [
      { at, step: "a", attempt: 1, stream: "stdout", line: "one\ttwo" },
      {
        at,
        step: "long",
        attempt: 1,
        stream: "stderr",
        line: '{"level":"info","message":"m","n":1}',
      },
      { at, step: "long", attempt: 1, stream: "stdout", line: '{"level":"warn","message":"m"}' },
      { at, step: "a", attempt: 1, stream: "stdout", line: '{"level":7}' },
      { at, step: "a", attempt: 1, stream: "stdout", line: 7 },
    ])
      appendFileSync(log, `${JSON.stringify(line)}\n`);
    appendFileSync(log, "no line\n");
    return made;
  };

  it("has the time, the step, the stream and the text; errors and causes come last", async () => {
    const { terminal } = await command(runLogs, printed(), { run: idOf(1) });
    expect(terminal.lines).toEqual([
      "02:00:01.234 a    | one     two",
      '02:00:01.234 long ! info: m {"n":1}',
      "02:00:01.234 long | warn: m",
      '02:00:01.234 a    | {"level":7}',
      "02:00:01.234 a    | 7",
      "long failed:",
      "  E: no",
      "      at x",
      "    [cause] F: why",
    ]);
  });

  it("tell the error of a step that failed, and of none that is tried again", async () => {
    const made = tempRoot();
    const error = { name: "E", message: "no" };
    const started = (step: string, attempt: number) => ({
      type: "step.started",
      step,
      attempt,
      because: "ready",
    });
    writeRun(made.runs, idOf(1), [
      header(idOf(1), { again: [], bad: [] }),
      { type: "run.started", because: "scheduled" },
      started("again", 1),
      { type: "step.failed", step: "again", attempt: 1, error, retryAt: slotOf(59) },
      started("bad", 1),
      { type: "step.failed", step: "bad", attempt: 1, error },
    ]);
    const { terminal } = await command(runLogs, made, { run: idOf(1) });
    expect(terminal.lines).toEqual(["bad failed:", "  E: no"]);
  });

  it("of one step have no column for its name, and only its error", async () => {
    const roots = printed();
    const { terminal } = await command(runLogs, roots, { run: idOf(1), step: "a" });
    expect(terminal.lines[0]).toBe("02:00:01.234 | one     two");
    expect(terminal.lines).toHaveLength(3);
    expect(await command(runLogs, roots, { run: idOf(1), step: "b" })).toMatchObject({
      status: 3,
      sentence: `the run "${idOf(1)}" has no step "b"; its steps are a and long.`,
    });
    const raw = await command(runLogs, roots, { run: idOf(1), step: "long", json: true });
    expect(raw.terminal.lines).toEqual([]);
    expect(raw.terminal.values).toHaveLength(2);
  });

  it("say that nothing was printed, and whether more may come", async () => {
    const roots = history();
    const notes = async (run: string): Promise<string[]> =>
      (await command(runLogs, roots, { run })).terminal.notes;
    expect(await notes(idOf(0))).toEqual([`nothing was printed in ${idOf(0)}.`]);
    expect(await notes(idOf(10))).toEqual([`nothing was printed in ${idOf(10)} so far.`]);
  });
});
