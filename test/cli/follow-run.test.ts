/** How long a command that follows a run waits for a daemon that is away. */
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Arguments } from "../../src/cli/arguments.ts";
import type { CommandContext } from "../../src/cli/command.ts";
import { run as runLogs } from "../../src/cli/commands/logs.ts";
import { CliError } from "../../src/cli/exit.ts";
import { followRun } from "../../src/cli/follow-run.ts";
import type { Part } from "../../src/cli/terminal.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { RunView } from "../../src/views/run-view.ts";
import { holdEpoch } from "../support/fake-daemon.ts";
import { completedRun, ledgerText, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { ToldTerminal } from "../support/told-terminal.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

function followed(): {
  readonly end: Promise<RunView | CliError>;
  daemon(isUp: boolean): void;
  finish(): void;
} {
  const { root, runs } = tempRoot();
  const events = completedRun(RUN);
  const path = writeRun(runs, RUN, events.slice(0, -1));
  const context = {
    args: { flag: () => true },
    roots: { root, schedules: `${root}/schedules`, runs },
    terminal: { interactive: false, rows: 24, settle: () => undefined, live: () => undefined },
  } as unknown as CommandContext;
  holdEpoch(runs);
  return {
    end: followRun(context, RUN).catch((error: unknown) => error as CliError),
    daemon: (isUp) => holdEpoch(runs, isUp ? {} : { released: true }),
    finish: () => writeFileSync(path, ledgerText(events)),
  };
}

it("waits through any number of short restarts", async () => {
  const { end, daemon, finish } = followed();
  for (let restart = 0; restart < 4; restart += 1) {
    daemon(false);
    await vi.advanceTimersByTimeAsync(2_500);
    daemon(true);
    await vi.advanceTimersByTimeAsync(300);
  }
  finish();
  await vi.advanceTimersByTimeAsync(200);
  expect(await end).toMatchObject({ run: RUN, status: "completed" });
});

it("gives up once the daemon is away for three seconds, and says what comes then", async () => {
  const { end, daemon } = followed();
  await vi.advanceTimersByTimeAsync(60_000);
  daemon(false);
  let gaveUp = false;
  void end.then(() => (gaveUp = true));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(gaveUp).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  const error = await end;
  expect(error).toBeInstanceOf(CliError);
  expect(error).toMatchObject({
    status: 4,
    message: expect.stringContaining("the run goes on once `orchd start` runs") as string,
  });
});

it.each<[string, (context: CommandContext) => Promise<unknown>]>([
  ["a run", (context) => followRun(context, RUN)],
  ["a log", runLogs],
])("follows %s no longer than to an end that its ledger lost", async (_, follow) => {
  const made = tempRoot();
  const events = completedRun(RUN);
  writeRun(made.runs, RUN, events.slice(0, -1));
  writePipeline(made.runs, "p", [{ ...events.at(-1)!, run: RUN }]);
  holdEpoch(made.runs);
  const context = {
    args: new Arguments({ run: RUN, follow: true }),
    roots: made,
    terminal: new ToldTerminal().it,
  } as unknown as CommandContext;
  let error: unknown;
  follow(context).catch((thrown: unknown) => (error = thrown));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(error).toBeInstanceOf(CliError);
  const message = expect.stringContaining("its ledger lost how") as string;
  expect(error).toMatchObject({ status: 1, message });
});

it("tells each event but the end, with the time of day that its ledger has", async () => {
  const { root, runs } = tempRoot();
  writeRun(runs, RUN, completedRun(RUN), "2026-11-23T02:00:07.125Z");
  const terminal = new ToldTerminal();
  const context = {
    args: { flag: () => false },
    roots: { root, schedules: `${root}/schedules`, runs },
    terminal: terminal.it,
  } as unknown as CommandContext;
  await followRun(context, RUN);
  const events = completedRun(RUN).filter(({ type }) => type !== "run.finished");
  expect(terminal.lines).toHaveLength(events.length);
  expect(terminal.lines[0]).toMatch(/^02:00:07\.125 /);
});

it("follows a log by its looks, to the last line, and then tells the errors", async () => {
  const made = tempRoot();
  const error = { name: "E", message: "no room" };
  const events = completedRun(RUN).map((event) =>
    event.type === "step.completed" ? { ...event, type: "step.failed", error } : event,
  );
  const path = writeRun(made.runs, RUN, events.slice(0, -2));
  const log = new RunStore(made.runs).runLog(RUN);
  const print = (line: string): void =>
    appendFileSync(log, `${JSON.stringify({ step: "a", stream: "stdout", line })}\n`);
  const terminal = new ToldTerminal();
  const context = {
    args: new Arguments({ run: RUN, follow: true }),
    roots: made,
    terminal: terminal.it,
  } as unknown as CommandContext;
  print("one");
  const over = runLogs(context);
  await vi.advanceTimersByTimeAsync(0);
  const shown = (): number => terminal.lines.filter((line) => line.includes("| ")).length;
  expect(shown()).toBe(1);
  print("two");
  await vi.advanceTimersByTimeAsync(99);
  expect(shown()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(shown()).toBe(2);
  print("three");
  writeFileSync(path, ledgerText(events));
  await vi.advanceTimersByTimeAsync(100);
  expect(await over).toBe(0);
  expect(terminal.lines.map((line) => line.replace(/^.*\| /, ""))).toEqual([
    "one",
    "two",
    "three",
    expect.stringMatching(/ failed:$/),
    "  E: no room",
  ]);
});

it("holds no more of a long log than a part of it", async () => {
  const made = tempRoot();
  writeRun(made.runs, RUN, completedRun(RUN));
  const log = new RunStore(made.runs).runLog(RUN);
  const line = JSON.stringify({ step: "a", stream: "stdout", line: "x".repeat(100_000) });
  writeFileSync(log, `${line}\n`.repeat(100));
  // What was not read when the first line is printed is gone.
  class Cutting extends ToldTerminal {
    override line(...parts: readonly Part[]): void {
      if (this.lines.length === 0) truncateSync(log, 400_000);
      super.line(...parts);
    }
  }
  const terminal = new Cutting();
  const context = {
    args: new Arguments({ run: RUN }),
    roots: made,
    terminal: terminal.it,
  } as unknown as CommandContext;
  expect(await runLogs(context)).toBe(0);
  expect(terminal.lines.length).toBeLessThan(10);
});
