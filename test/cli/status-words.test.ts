/** Each cell and each note of `orchd status` and `orchd status RUN`, against what it has to be. */
import { describe, expect, it } from "vitest";
import { daemonLine, printRun, printStatus } from "../../src/cli/status-render.ts";
import type { PipelineView } from "../../src/views/pipeline-view.ts";
import type { RunView, StepView } from "../../src/views/run-view.ts";
import type { DaemonView } from "../../src/views/status-view.ts";
import { VERSION } from "../../src/version.ts";
import { plain, styled, ToldTerminal } from "../support/told-terminal.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const DAY = 86_400_000;
const at = (fromNow: number): string => new Date(NOW + fromNow).toISOString();
const RUN = "p@20261123T020000Z";

const PLAIN: PipelineView = {
  name: "p",
  file: "/root/schedules/p.yaml",
  valid: true,
  errors: [],
  paused: false,
  schedule: "0 2 * * *",
  nextFire: null,
  lastRun: null,
  active: [],
  queued: [],
  counts: {},
};

function told(
  pipeline: Partial<PipelineView>,
  { detail = false, columns }: { detail?: boolean; columns?: number } = {},
): ToldTerminal {
  const terminal = new ToldTerminal(columns);
  const view = { daemon: null, pipelines: [{ ...PLAIN, ...pipeline }] };
  printStatus(terminal.it, view, detail, NOW);
  return terminal;
}

const cells = (pipeline: Partial<PipelineView>): string[] => told(pipeline).cells[3]!;
const notes = (pipeline: Partial<PipelineView>, detail = false): string[] =>
  told(pipeline, { detail }).lines.slice(5);

it("tells of a daemon of another release that it has to be started again", () => {
  const under = (version: string): string[] => {
    const terminal = new ToldTerminal();
    const daemon: DaemonView = { pid: 7, since: at(0), version, tz: "UTC" };
    printStatus(terminal.it, { daemon, pipelines: [PLAIN] }, false, NOW);
    return terminal.lines;
  };
  expect(under(VERSION)[1]).toBe("");
  expect(under("1.2.3").slice(1, 3)).toEqual([
    `this command is orchd ${VERSION}: a daemon whose package was renewed begins no step until ` +
      "it is started again",
    "",
  ]);
});

it("tells each backfill that is under way, and how to end it", () => {
  const backfill = { from: at(-2 * DAY), to: at(-DAY), which: "missing" };
  expect(notes({ backfills: ["a", "b"].map((id) => ({ id, ...backfill })) })).toEqual([
    "▸ p: a backfill (missing) from 2026-11-21 10:00:00Z to 2026-11-22 10:00:00Z is under way; " +
      "`orchd backfill --cancel a` ends it",
    expect.stringContaining("--cancel b"),
  ]);
});

it("the daemon's line tells its pid, its release and for how long it is up", () => {
  const daemon: DaemonView = { pid: 7, since: at(-61_000), version: "1.2.3", tz: "UTC" };
  expect(plain(daemonLine(daemon, NOW))).toBe(
    "daemon up: pid 7, orchd 1.2.3, since 2026-11-23 09:58:59Z (1m 1s)",
  );
  expect(plain(daemonLine({ ...daemon, since: at(9_000) }, NOW))).toMatch(/\(0s\)$/);
  expect(plain(daemonLine(null, NOW))).toBe(
    "daemon down: nothing fires; what is shown is what the ledgers last said. " +
      "`orchd start` starts it.",
  );
});

it("the head stands above an empty line; a moment of the past replaces the daemon's line", () => {
  expect(told({}).lines.slice(1, 3)).toEqual([
    "",
    "PIPELINE  STATE  NEXT FIRE  LAST RUN  SCHEDULE",
  ]);
  expect(told({}).lines).toHaveLength(4);
  const terminal = new ToldTerminal();
  printStatus(terminal.it, { daemon: null, pipelines: [] }, false, NOW, { past: "as it was" });
  expect(terminal.lines).toEqual(["as it was", "no pipeline had been loaded by then"]);
  const full = new ToldTerminal();
  printStatus(full.it, { daemon: null, pipelines: [PLAIN] }, false, NOW, { full: "it is full" });
  expect(full.lines.slice(1, 3)).toEqual(["✗ it is full: nothing starts until there is room", ""]);
  const first = new ToldTerminal();
  printStatus(first.it, { daemon: null, pipelines: [] }, false, NOW);
  expect(first.lines[1]).toBe(
    "no pipelines yet: put a file into the schedules folder, or make one with `orchd init`",
  );
});

// Each is added to those after it: the first that holds is told.
it.each<[string, string, Partial<PipelineView>]>([
  ["removed", "dim", { removed: true }],
  ["not read", "dim", { unread: true }],
  ["set aside", "red", { aside: true }],
  ["invalid", "red", { valid: false }],
  ["paused", "yellow", { paused: true }],
  ["2 runs active", "cyan", { active: ["a", "b"] }],
  ["1 run active", "cyan", { active: ["a"], queued: ["b"] }],
  ["3 queued", "yellow", { queued: ["a", "b", "c"] }],
  ["ok", "green", {}],
])("a pipeline is %s", (state, style, more) => {
  expect(cells(more)[1]).toBe(state);
  expect(styled(told(more).parts[3]!)[1]).toEqual([style, state]);
});

it("where several states hold, the one that explains the others is told", () => {
  const all: [string, Partial<PipelineView>][] = [
    ["removed", { removed: true }],
    ["not read", { unread: true }],
    ["set aside", { aside: true }],
    ["invalid", { valid: false }],
    ["paused", { paused: true }],
    ["1 run active", { active: ["a"] }],
    ["1 queued", { queued: ["b"] }],
  ];
  for (const [index, [state]] of all.entries()) {
    const rest = Object.assign({}, ...all.slice(index).map(([, more]) => more));
    expect(cells(rest)[1]).toBe(state);
  }
});

describe("a terminal that is too narrow leaves out the date, then how long, then the time", () => {
  const ended = { run: RUN, status: "completed", startedAt: at(-70_000), finishedAt: at(-10_000) };
  it("one after the other, each no sooner than it has to be", () => {
    const shown = { nextFire: at(60_000), lastRun: ended };
    const full = told(shown).lines[3]!.length;
    const brief = (less: number): string =>
      told(shown, { columns: full - less }).lines[3]!.replaceAll(/ +/g, " ");
    const row = "p ok 2026-11-23 10:01:00Z (in 1m) ✓ completed 10s ago, took 1m 0 2 * * *";
    expect(told(shown).lines[3]!.replaceAll(/ +/g, " ")).toBe(row);
    expect(brief(0)).toBe(row);
    const date = "2026-11-23 ".length;
    const took = ", took 1m".length;
    const noDate = row.replace("2026-11-23 ", "");
    const noTook = noDate.replace(", took 1m", "");
    expect(brief(1)).toBe(noDate);
    expect(brief(date)).toBe(noDate);
    expect(brief(date + 1)).toBe(noTook);
    expect(brief(date + took)).toBe(noTook);
    expect(brief(date + took + 1)).toBe(noTook.replace("10:01:00Z (in 1m)", "in 1m"));
  });

  it("but the time stays with its date from a day on", () => {
    const width = told({ nextFire: at(DAY) }).lines[3]!.length - 1;
    expect(told({ nextFire: at(DAY) }, { columns: width }).cells[3]![2]).toBe("in 1d");
    expect(told({ nextFire: at(DAY - 1_000) }, { columns: width }).cells[3]![2]).toMatch(
      /^09:59:59Z \(in /,
    );
  });
});

const NONE = { startedAt: null, finishedAt: null };
it.each<[PipelineView["lastRun"], string]>([
  [null, "-"],
  [{ run: RUN, status: "running", startedAt: at(-5_000), finishedAt: null }, "▸ running for 5s"],
  [{ run: RUN, status: "initializing", ...NONE }, "· initializing for -"],
  [
    { run: RUN, status: "failed", startedAt: at(-90_000), finishedAt: at(-60_000) },
    "✗ failed 1m ago, took 30s",
  ],
  [{ run: RUN, status: "stopped", startedAt: null, finishedAt: at(-1_000) }, "■ stopped 1s ago"],
])("the last run %j is told as %s", (lastRun, text) => {
  expect(cells({ lastRun })[3]).toBe(text);
});

it("without a schedule or a next fire a dash stands there", () => {
  expect(cells({ schedule: null })).toEqual(["p", "ok", "-", "-", "-"]);
});

describe("the notes below", () => {
  const failed = {
    run: RUN,
    status: "failed",
    startedAt: at(-9_000),
    finishedAt: at(-8_000),
    because: 'step "a" failed',
  };
  it.each<[Partial<PipelineView>, string[]]>([
    [{ errors: ["one", "two"] }, ["✗ p: one", "✗ p: two"]],
    [{ errors: ["one"], unread: true }, ["· p: one"]],
    [{ lastRun: failed }, [`✗ ${RUN} failed: step "a" failed`]],
    [{ active: ["p@1", "p@2"] }, ["▸ p@1", "▸ p@2"]],
    [
      { queued: ["p@1", "p@2", "p@3"], waiting: [{ run: "p@1", because: "p@0 goes on" }] },
      ["· p@1 waits: p@0 goes on", "· 2 more runs of p wait"],
    ],
    [
      { queued: ["p@1", "p@2"], waiting: [{ run: "p@1", because: "x" }] },
      ["· p@1 waits: x", "· 1 more run of p wait"],
    ],
    [{ queued: ["p@1"], waiting: [{ run: "p@1", because: "x" }] }, ["· p@1 waits: x"]],
    [{ counts: { skipped: 1 } }, ["  p: 1 slot skipped, 0 missed; `orchd why p TIME` says why"]],
    [
      { counts: { skipped: 2, missed: 3 } },
      ["  p: 2 slots skipped, 3 missed; `orchd why p TIME` says why"],
    ],
    [{ counts: { missed: 1 } }, ["  p: 0 slots skipped, 1 missed; `orchd why p TIME` says why"]],
    [{ counts: { fired: 9, completed: 9 } }, []],
    [
      { disturbed: { at: at(-7 * DAY + 1), because: "somebody cut it" } },
      ["! p: 2026-11-16 10:00:00Z: somebody cut it"],
    ],
    [{ disturbed: { at: at(-7 * DAY), because: "somebody cut it" } }, []],
  ])("%j", (more, lines) => {
    expect(notes(more)).toEqual(lines);
  });

  it("go on with the details of a pipeline that was asked for", () => {
    const asked: Partial<PipelineView> = {
      lastRun: { ...failed, because: undefined as never },
      counts: { fired: 3, failed: 1, completed: 2 },
    };
    expect(notes(asked)).toEqual([]);
    expect(notes(asked, true)).toEqual([
      "  file      /root/schedules/p.yaml",
      `  last run  ${RUN}`,
      "  so far    fired 3, failed 1, completed 2",
      "  failed    `orchd runs p --status failed` lists them",
    ]);
    expect(notes({ counts: { failed: 0, fired: 1 }, file: null }, true)).toEqual([
      "  so far    failed 0, fired 1",
    ]);
    expect(notes({ file: null }, true)).toEqual([]);
  });
});

describe("a run", () => {
  const view: RunView = {
    run: RUN,
    pipeline: "p",
    status: "running",
    inProgress: true,
    trigger: { kind: "schedule", scheduledFor: "2026-11-23T02:00:00.000Z" },
    submittedAt: at(-60_000),
    startedAt: at(-30_000),
    finishedAt: null,
    because: null,
    steps: [],
  };
  const lines = (more: Partial<RunView>): string[] => {
    const terminal = new ToldTerminal();
    printRun(terminal.it, { ...view, ...more }, NOW);
    return terminal.lines;
  };

  it.each<[Partial<RunView>, string[]]>([
    [
      {},
      [
        `▸ ${RUN} running`,
        "schedule for 2026-11-23 02:00:00Z, submitted 2026-11-23 09:59:00Z, " +
          "started 2026-11-23 09:59:30Z, for 30s",
      ],
    ],
    [
      { trigger: { kind: "manual" }, startedAt: null, status: "initializing", because: "it waits" },
      [`· ${RUN} initializing: it waits`, "manual, submitted 2026-11-23 09:59:00Z, not started"],
    ],
    [
      { trigger: { kind: "manual" }, finishedAt: at(-10_000), status: "completed" },
      [
        `✓ ${RUN} completed`,
        "manual, submitted 2026-11-23 09:59:00Z, started 2026-11-23 09:59:30Z, took 20s",
      ],
    ],
    [
      { trigger: { kind: "manual" }, startedAt: null, fault: "line 3: no" },
      [
        `▸ ${RUN} running`,
        "manual, submitted 2026-11-23 09:59:00Z, not started",
        "the ledger is damaged at line 3: no; what came after is not shown",
      ],
    ],
  ])("%j", (more, told) => {
    expect(lines(more)).toEqual(told);
  });

  it("has a row for each step", () => {
    const step = (more: Partial<StepView>): StepView => ({
      step: "a",
      status: "initializing",
      attempts: 0,
      because: null,
      startedAt: null,
      finishedAt: null,
      ...more,
    });
    const started = { startedAt: at(-9_000), attempts: 1 };
    const ended = { ...started, finishedAt: at(-8_000) };
    const rows = lines({
      steps: [
        step({}),
        step({ ...started, status: "running", because: "ready" }),
        step({ ...started, attempts: 2, status: "retrying", because: "retry 1 of 2 follows" }),
        step({ ...ended, status: "completed" }),
        step({ ...ended, status: "failed", error: { name: "E", message: "no" }, because: "x" }),
        step({ ...ended, status: "failed", error: { name: "E", message: "no", code: "C" } }),
      ],
    }).slice(2);
    expect(rows[0]).toBe("");
    expect(rows.slice(1).map((row) => row.trim().split(/ {2,}/))).toEqual([
      ["STEP", "STATUS", "ATTEMPTS", "TOOK", "BECAUSE"],
      ["·", "a", "initializing", "0", "-"],
      ["▸", "a", "running", "1", "9s", "ready"],
      ["↻", "a", "retrying", "2", "-", "retry 1 of 2 follows"],
      ["✓", "a", "completed", "1", "1s"],
      ["✗", "a", "failed", "1", "1s", "E: no"],
      ["✗", "a", "failed", "1", "1s", "E: no (C)"],
    ]);
  });
});
