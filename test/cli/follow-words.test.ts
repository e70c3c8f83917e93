/** What is drawn of a run while it goes on, and how a run that has ended is told. */
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../src/cli/command.ts";
import { Arguments } from "../../src/cli/arguments.ts";
import { followRun, reportEnd } from "../../src/cli/follow-run.ts";
import { textWidth } from "../../src/cli/terminal-text.ts";
import type { Part } from "../../src/cli/terminal.ts";
import type { RunView } from "../../src/views/run-view.ts";
import { header, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { plain, ToldTerminal } from "../support/told-terminal.ts";

const RUN = "p@20261123T020000Z";
const ERROR = { name: "E", message: "no" };
const END = { type: "run.finished", status: "failed", because: "x", durationMs: 1 };
const step = (type: string, id: string, more: object = {}): HandEvent => ({
  type: `step.${type}`,
  step: id,
  attempt: 1,
  ...more,
});
const started = (...ids: string[]): HandEvent[] =>
  ids.map((id) => step("started", id, { because: "ready" }));
const done = (...ids: string[]): HandEvent[] =>
  ids.map((id) => step("completed", id, { outputs: { result: null }, durationMs: 1 }));

/** The last drawing of a run, on a terminal of `rows` lines. */
async function drawn(
  events: readonly HandEvent[],
  rows: number,
  ids = "abcdef",
): Promise<string[]> {
  const { root, runs } = tempRoot();
  const steps = Object.fromEntries([...ids].map((id) => [id, []]));
  const begin = { type: "run.started", because: "scheduled" };
  writeRun(runs, RUN, [header(RUN, steps), begin, ...events, END]);
  let last: readonly Part[] = [];
  const terminal = {
    interactive: true,
    rows,
    settle: () => undefined,
    live: (lines: readonly Part[]) => (last = lines),
  };
  const context = {
    args: new Arguments({}),
    roots: { root, schedules: `${root}/schedules`, runs },
    terminal,
  } as unknown as CommandContext;
  await followRun(context, RUN);
  return last.map(plain);
}

describe("the drawing of a run", () => {
  const events = [
    ...started("a", "b", "c", "d"),
    ...done("a"),
    step("failed", "b", { error: ERROR }),
    step("skipped", "e", { because: "b failed" }),
  ];

  it("has a line for each step, with why it ended where that is not plain", async () => {
    expect(await drawn(events, 10)).toEqual([
      `✗ ${RUN} failed  2 of 6 steps, 1 skipped, 8s`,
      expect.stringMatching(/^ {2}✓ a completed \d+s$/),
      expect.stringMatching(/^ {2}✗ b failed \d+s: no$/),
      expect.stringMatching(/^ {2}▸ c running /),
      expect.stringMatching(/^ {2}▸ d running /),
      "  - e skipped: b failed",
      "  · f initializing",
    ]);
  });

  it.each([
    [9, "bcd", 3],
    [7, "bcd", 3],
    [6, "bc", 4],
    [5, "b", 5],
    [4, "b", 5],
    [1, "b", 5],
  ])("on %i lines has those that move, and those that failed: %s", async (rows, ids, more) => {
    const lines = await drawn(events, rows);
    expect(
      lines
        .slice(1, -1)
        .map((line) => line.slice(4, 5))
        .join(""),
    ).toBe(ids);
    expect(lines.at(-1)).toBe(`  and ${more} steps more`);
  });

  it("says which attempt it is, and one step more as one", async () => {
    const again = [
      ...started("a"),
      step("failed", "a", { error: ERROR, retryAt: "2026-11-23T02:00:00.000Z" }),
    ];
    const [, first] = await drawn(again, 10, "ab");
    expect(first).toMatch(/^ {2}↻ a retrying .*: no$/);
    const second = step("started", "a", { attempt: 2, because: "retry" });
    expect((await drawn([...again, second], 10, "ab"))[1]).toMatch(/ attempt 2$/);
    expect((await drawn([...again, second], 5, "ab")).at(-1)).toBe("  and 1 step more");
  });
});

describe("the end of a run", () => {
  const view: RunView = {
    run: RUN,
    pipeline: "p",
    status: "completed",
    inProgress: false,
    trigger: { kind: "manual" },
    submittedAt: "2026-11-23T02:00:00.000Z",
    startedAt: "2026-11-23T02:00:01.000Z",
    finishedAt: "2026-11-23T02:00:03.000Z",
    because: null,
    steps: [],
  };
  const told = (more: Partial<RunView>, json = false): [number, string[], unknown[]] => {
    const terminal = new ToldTerminal();
    const context = { args: new Arguments({ json }), terminal: terminal.it } as CommandContext;
    const status = reportEnd(context, { ...view, ...more });
    return [status, terminal.lines, terminal.values];
  };

  it.each([
    ["completed", "✓", 0],
    ["cached", "=", 0],
    ["failed", "✗", 1],
    ["stopped", "■", 1],
  ])("%s", (status, mark, exit) => {
    expect(told({ status })).toEqual([exit, [`${mark} ${RUN} ${status} in 2s`], []]);
    expect(told({ status }, true)).toEqual([exit, [], [{ ...view, status }]]);
  });

  it("tells why, without the message that the step has shown already", () => {
    const failed = { step: "a", status: "failed", attempts: 1, because: null };
    const steps = [{ ...failed, startedAt: null, finishedAt: null, error: ERROR }];
    const because = 'step "a" failed: no';
    expect(told({ status: "failed", because, steps })[1]).toEqual([
      `✗ ${RUN} failed in 2s: step "a" failed`,
    ]);
    expect(told({ status: "failed", because })[1]).toEqual([
      `✗ ${RUN} failed in 2s: step "a" failed: no`,
    ]);
  });
});

it.each([
  [0, [0x300, 0x36f, 0xfe00, 0xfe0f, 0x200d, 0x20d0, 0x20ff]],
  [1, [0x20, 0x7e, 0xa1, 0x2ff, 0x370, 0x10ff, 0x1160, 0x20cf, 0x2100, 0x2e7f, 0xa4d0, 0xabff]],
  [2, [0x1100, 0x115f, 0x2e80, 0xa4cf, 0xac00, 0xd7a3, 0xf900, 0xfaff, 0xfe30, 0xfe6f, 0xff00]],
  [2, [0xff60, 0xffe0, 0xffe6, 0x1f300, 0x1faff, 0x20000, 0x3fffd]],
  [1, [0xd7a4, 0xf8ff, 0xfb00, 0xfdff, 0xfe10, 0xfe2f, 0xff61, 0xffdf, 0xffe7, 0x1f2ff, 0x1fb00]],
])("%i columns: %o", (width, codes) => {
  for (const code of codes)
    expect([code, textWidth(String.fromCodePoint(code))]).toEqual([code, width]);
});
