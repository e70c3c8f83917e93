/** The status again and again: when it is drawn, which keys end it, and how a terminal is left. */
import { EventEmitter } from "node:events";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { Arguments } from "../../src/cli/arguments.ts";
import type { CommandContext } from "../../src/cli/command.ts";
import { watch } from "../../src/cli/commands/status-watch.ts";
import { CliError } from "../../src/cli/exit.ts";
import { idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { ToldTerminal } from "../support/told-terminal.ts";
import type { TempRoot } from "../support/temp-root.ts";

class Screen extends ToldTerminal {
  override readonly interactive: boolean;
  cleared = 0;

  constructor(interactive: boolean) {
    super(80);
    this.interactive = interactive;
  }

  clear(): void {
    this.cleared += 1;
    this.lines.length = 0;
  }
}

let made: TempRoot;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: NOW });
  onTestFinished(() => void vi.useRealTimers());
  made = madeUpRoot();
});

/** Watches with this stdin. */
function watching(
  values: Readonly<Record<string, unknown>>,
  { interactive = true, isTTY = true }: { interactive?: boolean; isTTY?: boolean } = {},
) {
  const told: string[] = [];
  const stdin = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (raw: boolean) => void told.push(`raw ${raw}`),
    pause: () => void told.push("pause"),
  });
  vi.spyOn(process, "stdin", "get").mockReturnValue(stdin as never);
  onTestFinished(() => void vi.restoreAllMocks());
  const screen = new Screen(interactive);
  const { root, schedules, runs } = made;
  const context = {
    args: new Arguments(values),
    roots: { root, schedules, runs },
    terminal: screen.it,
  } as unknown as CommandContext;
  let isOver = false;
  const end = watch(context).finally(() => (isOver = true));
  const type = async (key: string): Promise<boolean> => {
    stdin.emit("data", Buffer.from(key));
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    return isOver;
  };
  return { screen, told, end, type, stdin };
}

it.each(["q", "Q", "\u0003", "\u0004"])("is drawn each second until %j is typed", async (key) => {
  const { screen, told, end, type } = watching({});
  await vi.advanceTimersByTimeAsync(0);
  expect(screen.cleared).toBe(1);
  expect(screen.lines.join("\n")).toContain("etl");
  await vi.advanceTimersByTimeAsync(999);
  expect(screen.cleared).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(screen.cleared).toBe(2);
  expect(await type("x")).toBe(false);
  expect(told).toEqual(["raw true"]);
  // It does not wait for the second to be over.
  expect(await type(key)).toBe(true);
  expect(await end).toBe(0);
  expect(screen.cleared).toBe(2);
  expect(told).toEqual(["raw true", "raw false", "pause"]);
});

it("shows one run, or one pipeline with all of it, as the command without it does", async () => {
  const shown = async (target?: string): Promise<string> => {
    const { screen, end, type } = watching({ target });
    await vi.advanceTimersByTimeAsync(0);
    const text = screen.lines.join("\n");
    await type("q");
    await end;
    return text;
  };
  const [all, pipeline, run] = [await shown(), await shown("etl"), await shown(idOf("etl", 1))];
  expect(run).toContain("load");
  expect(all).not.toContain("next");
  expect(pipeline.split("\n").length).toBeGreaterThan(3);
  expect(new Set([all, pipeline, run]).size).toBe(3);
});

it("is a line of JSON each second, without keys and without clearing", async () => {
  const { screen, told, end } = watching({ json: true });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(screen.values).toHaveLength(3);
  expect([screen.cleared, screen.lines.length, told]).toEqual([0, 0, []]);
  vi.spyOn(screen, "jsonLine").mockImplementation(() => {
    throw new Error("the pipe is gone");
  });
  await Promise.all([
    expect(end).rejects.toThrow("the pipe is gone"),
    vi.advanceTimersByTimeAsync(1_000),
  ]);
});

it("leaves the terminal as it was where there is no such pipeline", async () => {
  const { told, end } = watching({ target: "none" });
  await expect(end).rejects.toBeInstanceOf(CliError);
  expect(told).toEqual(["raw true", "raw false", "pause"]);
});

it("touches no input that is no terminal, and no screen that is none", async () => {
  const { told, type, screen, end } = watching({}, { isTTY: false });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(screen.cleared).toBe(2);
  expect(await type("q")).toBe(false);
  expect(told).toEqual([]);
  vi.spyOn(screen, "clear").mockImplementation(() => {
    throw new Error("gone");
  });
  await Promise.all([expect(end).rejects.toThrow("gone"), vi.advanceTimersByTimeAsync(1_000)]);
  expect(told).toEqual([]);
  const piped = watching({}, { interactive: false });
  await vi.advanceTimersByTimeAsync(1_000);
  expect([piped.screen.cleared, piped.told]).toEqual([0, []]);
  const before = piped.screen.lines.length;
  expect(before).toBeGreaterThan(2);
  vi.spyOn(piped.screen, "line").mockImplementation(() => {
    throw new Error("gone");
  });
  await Promise.all([
    expect(piped.end).rejects.toThrow("gone"),
    vi.advanceTimersByTimeAsync(1_000),
  ]);
});

it("and the past exclude each other", async () => {
  const { end, told } = watching({ at: "2026-11-23" });
  await expect(end).rejects.toMatchObject({
    status: 2,
    message: "--watch and --at exclude each other: the past does not change.",
  });
  expect(told).toEqual([]);
});
