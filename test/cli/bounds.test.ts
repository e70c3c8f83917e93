/** The bounds, defaults and exit statuses of the command line, each on both sides. */
import { describe, expect, it } from "vitest";
import { Arguments } from "../../src/cli/arguments.ts";
import { refusal, report } from "../../src/cli/ask.ts";
import type { CommandContext } from "../../src/cli/command.ts";
import { run as runBackfill } from "../../src/cli/commands/backfill.ts";
import { run as runNext } from "../../src/cli/commands/next.ts";
import { run as runPrune } from "../../src/cli/commands/prune.ts";
import { run as runRuns } from "../../src/cli/commands/runs.ts";
import { run as runStatus } from "../../src/cli/commands/status.ts";
import { run as runTail } from "../../src/cli/commands/tail.ts";
import { errorLines } from "../../src/cli/error-text.ts";
import { CliError, EXIT, noViewError, seen } from "../../src/cli/exit.ts";
import { dot, mermaid } from "../../src/cli/graph-text.ts";
import { parseCount } from "../../src/cli/number-text.ts";
import { betweenText, parseTime } from "../../src/cli/time-text.ts";
import { damaged, unknown } from "../../src/views/no-view.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { command, ToldTerminal } from "../support/told-terminal.ts";

const NOW = Date.parse("2026-11-23T10:20:30.400Z");

it("the exit statuses are those of docs/command-line.md", () => {
  expect(EXIT).toEqual({ done: 0, failed: 1, usage: 2, unknown: 3, noDaemon: 4, refused: 5 });
  expect(noViewError(unknown("x"))).toMatchObject({ status: 3, message: "x", name: "CliError" });
  expect(noViewError(damaged("x"))).toMatchObject({ status: 1, message: "x" });
  expect(() => seen(unknown("x"))).toThrow(CliError);
  const view = { ok: true as const };
  expect(seen(view)).toBe(view);
});

describe("a count", () => {
  it.each<[string | undefined, number, number, number | undefined]>([
    [undefined, 7, 1, 7],
    [undefined, 0, 1, 0],
    ["1", 7, 1, 1],
    ["0", 7, 0, 0],
    ["0", 7, 1, undefined],
    ["1000000", 7, 1, 1_000_000],
    ["1000001", 7, 1, undefined],
    ["007", 9, 1, 7],
    ["-1", 7, 0, undefined],
    ["1.5", 7, 0, undefined],
    ["1e3", 7, 0, undefined],
    ["", 7, 0, undefined],
    [" 1", 7, 0, undefined],
    ["0x10", 7, 0, undefined],
  ])("%j, else %i, at least %i, is %s", (text, otherwise, least, count) => {
    const read = (): number => parseCount(text, "--n", otherwise, least);
    if (count !== undefined) expect(read()).toBe(count);
    else
      expect(read).toThrow(
        `--n: "${text}" is no count; give a whole number from ${least} to 1000000.`,
      );
  });

  const COUNTS = {
    "runs --number": [runRuns, "number", 1, {}],
    "next --number": [runNext, "number", 1, {}],
    "next --days": [runNext, "days", 1, {}],
    "next --pile-up": [runNext, "pile-up", 1, { days: "1" }],
    "tail --lines": [runTail, "lines", 0, {}],
    "prune --keep-runs": [runPrune, "keep-runs", 0, { "dry-run": true }],
    "backfill --max-active": [
      runBackfill,
      "max-active",
      1,
      { pipeline: "p", from: "2d", to: "1h", "dry-run": true },
    ],
  } as const;
  it.each(Object.keys(COUNTS) as (keyof typeof COUNTS)[])(
    "of `%s` has its least value, and says it",
    async (name) => {
      const [run, option, least, more] = COUNTS[name];
      const roots = tempRoot({
        "schedules/p.yaml": "schedule: {cron: '0 2 * * *'}\nsteps: {a: {run: x}}\n",
      });
      const given = async (text: string) => command(run, roots, { ...more, [option]: text });
      expect(await given(String(least))).toMatchObject({ status: 0, sentence: undefined });
      for (const text of least === 1 ? ["0", "x"] : ["-1", "x"])
        expect(await given(text)).toMatchObject({
          status: 2,
          sentence:
            `--${option}: "${text}" is no count; ` +
            `give a whole number from ${least} to 1000000.`,
        });
    },
  );
});

describe("a time", () => {
  it.each([
    ["1m", NOW - 60_000],
    ["1m ago", NOW - 60_000],
    ["-1m", NOW - 60_000],
    ["1h30m", NOW - 5_400_000],
    ["2d", NOW - 172_800_000],
    [" now ", NOW],
    ["2024-02-29", Date.UTC(2024, 1, 29)],
    ["2026-11-23T00:30:00-02:00", Date.UTC(2026, 10, 23, 2, 30)],
    ["2026-11-23t00:30:00z", Date.UTC(2026, 10, 23, 0, 30)],
    ["2026-11-23T00:30+0130", Date.UTC(2026, 10, 22, 23)],
    ["20261123T020000.250Z", Date.UTC(2026, 10, 23, 2, 0, 0, 250)],
  ])("%j", (text, time) => {
    expect(parseTime(text, "--at", NOW)).toBe(time);
  });

  it.each(["2025-02-29", "2026-06-31T00:00Z", "20260631T000000Z", "5", "1.5", "tomorrow", "m"])(
    "%j is none",
    (text) => {
      expect(() => parseTime(text, "--at", NOW)).toThrow(
        `--at: "${text}" is no time; write it like 2026-11-23T02:00:00Z, 2026-11-23, today, ` +
          "or 2h for two hours ago.",
      );
    },
  );

  it("a length is none where an end is missing, and never less than nothing", () => {
    const at = new Date(NOW).toISOString();
    expect(betweenText(at, null)).toBe("-");
    expect(betweenText(undefined, NOW)).toBe("-");
    expect(betweenText(at, undefined)).toBe("-");
    expect(betweenText(at, NOW - 5_000)).toBe("0s");
    expect(betweenText(at, NOW + 999)).toBe("999ms");
    expect(betweenText(at, at)).toBe("0s");
  });

  it("that is to come is refused for a status of the past", async () => {
    const given = await command(runStatus, tempRoot(), { at: "2999-01-01" });
    expect(given).toMatchObject({
      status: 2,
      sentence: "--at: 2999-01-01 00:00:00Z is to come; `orchd next` shows the coming slots.",
    });
  });
});

it("options that are given more than once count by their last, lists by all", () => {
  const args = new Arguments({ a: ["1", "2"], b: [true, false], n: 5, one: "x", flag: "true" });
  expect([args.text("a"), args.text("n"), args.text("b"), args.text("none")]).toEqual([
    "2",
    "5",
    undefined,
    undefined,
  ]);
  expect([args.flag("b"), args.flag("flag"), args.flag("none")]).toEqual([false, false, false]);
  expect([args.list("a"), args.list("one"), args.list("none")]).toEqual([["1", "2"], ["x"], []]);
});

describe("what came of a request", () => {
  const reported = (answer: Parameters<typeof report>[1], json = false): unknown[] => {
    const terminal = new ToldTerminal();
    const context = { args: new Arguments({ json }), terminal: terminal.it } as CommandContext;
    const status = report(context, answer, ({ run }) => `done: ${String(run)}`);
    return [status, terminal.lines, terminal.notes, terminal.errors, terminal.values];
  };
  const kept =
    "no daemon runs: the request is kept (r) and will be honoured once `orchd start` runs.";

  it("is told in a sentence and by the exit status", () => {
    const accepted = { accepted: true, run: "p@1" } as const;
    expect(reported({ kind: "answered", id: "r", reply: accepted })).toEqual([
      0,
      ["done: p@1"],
      [],
      [],
      [],
    ]);
    const refused = { accepted: false, reason: "it is paused" } as const;
    expect(reported({ kind: "answered", id: "r", reply: refused })).toEqual([
      5,
      [],
      [],
      ["refused: it is paused."],
      [],
    ]);
    expect(reported({ kind: "kept", id: "r" })).toEqual([0, [], [kept], [], []]);
    expect(reported({ kind: "answered", id: "r", reply: accepted }, true)).toEqual([
      0,
      [],
      [],
      [],
      [{ request: "r", accepted: true, run: "p@1" }],
    ]);
    expect(reported({ kind: "kept", id: "r" }, true)).toEqual([
      0,
      [],
      [kept],
      [],
      [{ request: "r", accepted: null }],
    ]);
  });

  it.each([
    ["no.", "refused: no."],
    ["no", "refused: no."],
    ["no!", "refused: no!"],
    ["no? ", "refused: no?"],
    [undefined, "refused: it gave no reason."],
  ])("a refusal for %j ends in a stop", (reason, text) => {
    expect(refusal({ accepted: false, ...(reason === undefined ? {} : { reason }) })).toBe(text);
  });
});

it("an error has its stack, else its name; each cause stands below what it caused", () => {
  const cause = { name: "C", message: "c", stack: "C: c\n  at c" };
  expect(errorLines({ name: "E", message: "e" })).toEqual(["E: e"]);
  expect(errorLines({ name: "E", message: "e", stack: "E: e\n  at e", cause })).toEqual([
    "E: e",
    "  at e",
    "  [cause] C: c",
    "    at c",
  ]);
  const stack = `E: e\n${cause.stack}`;
  expect(errorLines({ name: "E", message: "e", stack, cause })).toEqual(["E: e", "C: c", "  at c"]);
  const errors = [{ name: "F", message: "f" }, cause];
  expect(errorLines({ name: "E", message: "e", cause: errors[0]!, errors })).toEqual([
    "E: e",
    "  [cause] F: f",
    "  [cause] F: f",
    "  [cause] C: c",
    "    at c",
  ]);
});

it("drawings escape what their languages read, and name a step that is missing", () => {
  const steps = [
    { step: 'a"#;<>&`\\b', inputs: [], after: [] },
    { step: "c", inputs: [{ name: "x", from: "gone" }], after: ["gone", 'a"#;<>&`\\b'] },
  ];
  expect(mermaid(steps)).toBe(
    'flowchart TD\n  s0["a#34;#35;#59;#60;#62;#38;#96;#92;b"]\n  s1["c"]\n' +
      '  missing -->|"x"| s1\n  s0 -.-> s1\n',
  );
  const name = '"a\\"#;<>&`\\\\b"';
  expect(dot("p", steps).split("\n").slice(3)).toEqual([
    `  ${name};`,
    '  "c";',
    '  "gone" -> "c" [label="x"];',
    `  ${name} -> "c" [style=dashed];`,
    "}",
    "",
  ]);
});

it("tail begins with ten lines by default, with none if 0 are wanted", async () => {
  const roots = tempRoot();
  writePipeline(roots.runs, "p", [
    loaded("* * * * *"),
    ...Array.from({ length: 12 }, () => ({ type: "pipeline.paused", by: "x" })),
  ]);
  const count = async (more: object): Promise<number> =>
    (await command(runTail, roots, { pipeline: "p", ...more })).terminal.lines.length;
  expect(await count({})).toBe(10);
  expect(await count({ lines: "0" })).toBe(0);
  expect(await count({ lines: "13" })).toBe(13);
  expect((await command(runTail, roots, { pipeline: "q" })).status).toBe(3);
});

it("next lists ten slots by default, each with its zone's time", async () => {
  const file = "schedule: {cron: '0 2 * * *', timezone: Asia/Kolkata}\nsteps: {a: {run: x}}\n";
  const roots = tempRoot({ "schedules/p.yaml": file });
  const { terminal } = await command(runNext, roots, { from: "2026-11-23T00:00Z" });
  expect(terminal.cells[0]).toEqual(["PIPELINE", "SLOT (UTC)", "LOCAL", "NOTE"]);
  expect(terminal.cells).toHaveLength(11);
  const [name, slot, , local] = terminal.cells[1]!;
  expect([name, slot, local]).toEqual(["p", "2026-11-23T20:30:00Z", "2026-11-24T02:00:00+05:30"]);
});

it("next lists what a ledger has in force, and nothing of a removed pipeline", async () => {
  const listed = async (...events: HandEvent[]): Promise<unknown> => {
    const roots = tempRoot();
    writePipeline(roots.runs, "p", [{ ...loaded("0 2 * * *"), file: undefined }, ...events]);
    const told = await command(runNext, roots, { number: "1", json: true });
    return (told.terminal.values[0] as { pipeline: string }[]).map(({ pipeline }) => pipeline);
  };
  expect(await listed()).toEqual(["p"]);
  expect(await listed({ type: "pipeline.removed" })).toEqual([]);
});
