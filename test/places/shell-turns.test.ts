/**
 * One shell step from its start to its end, under a runner and a shell that a test plays: whom it
 * tells of what, in which order, and how often.
 */
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { TEXT_LIMIT } from "../../src/core/environment-limits.ts";
import { ERROR_CHARACTERS } from "../../src/core/failure.ts";
import type { ShellTask } from "../../src/core/task.ts";
import { AttemptFiles } from "../../src/places/runner/attempt-files.ts";
import type { Guard } from "../../src/places/runner/guard.ts";
import type { LeftBehind } from "../../src/places/runner/left-behind.ts";
import { Scratch } from "../../src/places/runner/scratch.ts";
import type { ShellCommand } from "../../src/places/runner/shell-process.ts";
import { ShellStep } from "../../src/places/runner/shell-step.ts";
import { plainShell } from "../support/plain-shell.ts";
import { tempRoot } from "../support/temp-root.ts";

/** No process has these numbers: they are above what Linux gives. */
const PID = 2 ** 22 + 10;
const OTHER_PID = PID + 1;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
});

/** A step, and all that it tells, in order. */
function played(more: Partial<ShellTask> = {}) {
  const told: string[] = [];
  const note = (text: string): void => void told.push(text);
  const commands: ShellCommand[] = [];
  const guard = {
    began: (pid: number) => note(`guard + ${pid - PID}`),
    ended: (pid: number) => note(`guard - ${pid - PID}`),
    keeps: () => undefined,
  } as unknown as Guard;
  const leftBehind = {
    lastPid: () => 7,
    began: (pid: number, after: number) => {
      note(`mark ${pid - PID} after ${after}`);
      return { after, at: 0, forks: undefined };
    },
    end: (mark: { after: number }, token: string) => note(`look after ${mark.after} for ${token}`),
  } as unknown as LeftBehind;
  const results: unknown[] = [];
  const scratch = new Scratch(join(tempRoot().root, "scratch"), guard);
  const step: ShellStep = new ShellStep("r@1#2", plainShell("true", more), {
    scratch,
    token: "shell-turns",
    guard,
    leftBehind,
    baseEnv: { PATH: "/bin" },
    spares: [],
    start: (command) => {
      commands.push(command);
      note("start");
      return {
        mute: () => note("mute"),
        read: (isRead) => note(`read ${isRead}`),
        expectEnd: () => note("expect its end"),
      };
    },
    output: (stream, lines) => note(`${stream}: ${lines.join("|")}`),
    ended: (result, durationMs) => {
      results.push(result);
      note(`ended after ${durationMs}`);
    },
  });
  return { step, scratch, results, commands, said: () => told.splice(0) };
}

const fault = (code: string): Error => Object.assign(new Error(`spawn ${code}`), { code });

describe("a shell step", () => {
  it("tells the guard of its group, and that it ended", () => {
    const { step, said, results } = played();
    step.start();
    step.began(PID);
    expect(said()).toEqual(["start", "guard + 0", "mark 0 after 7"]);
    vi.advanceTimersByTime(20);
    step.exited(0, null);
    expect(said()).toEqual(["look after 7 for shell-turns/r@1#2"]);
    step.closed();
    expect(said()).toEqual(["guard - 0", "ended after 20"]);
    expect(results).toEqual([{ ok: true, json: "null" }]);
    // What comes now is another's.
    step.closed();
    step.exited(1, null);
    step.output("stdout", Buffer.from("late\n"));
    vi.advanceTimersByTime(10_000);
    expect(said()).toEqual([]);
  });

  it("tells the guard where another process becomes its shell", () => {
    const { step, said } = played();
    step.start();
    step.began(PID);
    said();
    step.began(OTHER_PID);
    expect(said()).toEqual(["guard - 0", "guard + 1", "mark 1 after 7"]);
    expect(step.group).toBe(OTHER_PID);
    step.exited(0, null);
    expect(step.group).toBeUndefined();
    step.closed();
    expect(said().slice(-2)).toEqual(["guard - 1", "ended after 0"]);
  });

  it.each([
    [999, true],
    [1_000, false],
  ])("that begins after %i ms is marked: %s", (ms, isMarked) => {
    const { step, said } = played();
    step.start();
    vi.advanceTimersByTime(ms);
    step.began(PID);
    expect(said().includes("mark 0 after 7")).toBe(isMarked);
    step.exited(0, null);
    expect(said()).toEqual(isMarked ? ["look after 7 for shell-turns/r@1#2"] : []);
    step.closed();
  });

  it("is not read where nobody takes its output, and does not end for that", () => {
    const { step, said } = played();
    step.start();
    step.began(PID);
    said();
    step.read(false);
    expect(said()).toEqual(["read false"]);
    step.exited(0, null);
    said();
    vi.advanceTimersByTime(60_000);
    expect(said()).toEqual([]);
    step.read(true);
    step.output("stdout", Buffer.from("all\n"));
    expect(said()).toEqual(["read true", "stdout: all"]);
    vi.advanceTimersByTime(499);
    expect(said()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(said()).toEqual(["mute", "guard - 0", expect.stringMatching(/^ended/)]);
  });

  it("waits half a second for output that another process holds, and no longer", () => {
    const { step, said } = played();
    step.start();
    step.began(PID);
    step.exited(0, null);
    said();
    step.output("stderr", Buffer.from("half"));
    vi.advanceTimersByTime(499);
    expect(said()).toEqual([]);
    vi.advanceTimersByTime(1);
    // The line without an end is one too.
    expect(said()).toEqual(["mute", "stderr: half", "guard - 0", "ended after 500"]);
  });

  it("that its spawner took with it is told to the guard alone, and its files go", () => {
    const { step, scratch, said, commands } = played();
    step.start();
    const folder = dirname(commands[0]!.env["ORCHD_OUTPUT"]!);
    step.began(PID);
    said();
    expect(scratch.begin({}, false).folder).not.toBe(folder);
    step.abandon();
    // It is given to the next step.
    expect(scratch.begin({}, false).folder).toBe(folder);
    expect(said()).toEqual(["guard - 0"]);
    step.abandon();
    step.exited(0, null);
    step.closed();
    step.failed(fault("ENOENT"));
    step.failed(fault("EAGAIN"));
    vi.advanceTimersByTime(60_000);
    expect(said()).toEqual([]);
  });
});

describe("a shell that the machine does not start now", () => {
  it("waits, says so once, and is started again each second", () => {
    const { step, said, commands, results } = played();
    step.start();
    step.failed(fault("EAGAIN"));
    expect(said()).toEqual(["start", expect.stringMatching(/^orchd: .*: the command waits$/)]);
    vi.advanceTimersByTime(999);
    expect(said()).toEqual([]);
    vi.advanceTimersByTime(1);
    step.failed(fault("ENOMEM"));
    vi.advanceTimersByTime(1_000);
    expect(said()).toEqual(["start", "start"]);
    expect(new Set(commands).size).toBe(1);
    step.began(PID);
    step.exited(0, null);
    step.closed();
    expect(results).toEqual([{ ok: true, json: "null" }]);
  });

  it.each(["ENOSPC", "EDQUOT"])("waits for room for its files too (%s)", (code) => {
    const { step, scratch, said, results } = played();
    const begin = vi.spyOn(scratch, "begin").mockImplementation(() => {
      throw fault(code);
    });
    step.start();
    expect(said()).toEqual([expect.stringMatching(/^orchd: .*: the command waits$/)]);
    vi.advanceTimersByTime(1_000);
    expect([said(), results]).toEqual([[], []]);
    begin.mockRestore();
    vi.advanceTimersByTime(1_000);
    expect(said()).toEqual(["start"]);
    step.began(PID);
    step.exited(0, null);
    step.closed();
    expect(results).toEqual([{ ok: true, json: "null" }]);
  });

  it("keeps no folder of a try for which there was no room", () => {
    const { step, scratch, said, results } = played({ text: "#".repeat(TEXT_LIMIT + 1) });
    const begin = vi.spyOn(scratch, "begin");
    const end = vi.spyOn(scratch, "end");
    const write = vi.spyOn(AttemptFiles.prototype, "write").mockImplementation(() => {
      throw fault("ENOSPC");
    });
    onTestFinished(() => write.mockRestore());
    step.start();
    vi.advanceTimersByTime(2_000);
    // Each try is one in another folder too.
    expect([begin.mock.calls.length, results]).toEqual([6, []]);
    expect(end.mock.calls.map(([files]) => files)).toEqual(
      begin.mock.results.map(({ value }) => value as AttemptFiles),
    );
    write.mockRestore();
    vi.advanceTimersByTime(1_000);
    expect(said().at(-1)).toBe("start");
    step.abandon();
    expect(end).toHaveBeenCalledTimes(7);
  });

  it("waits for no file where it is told to end meanwhile, nor for a descriptor", () => {
    for (const code of ["ENOSPC", "EMFILE"]) {
      const { step, scratch, said, results } = played();
      vi.spyOn(scratch, "begin").mockImplementation(() => {
        throw fault(code);
      });
      step.start();
      if (code === "ENOSPC") step.signal("SIGTERM");
      vi.advanceTimersByTime(9_000);
      expect(results).toMatchObject([{ ok: false, outcome: "failed" }]);
      expect(said().filter((one) => one === "start")).toEqual([]);
    }
  });

  it("lets go of the process that was to become it", () => {
    const { step, said } = played();
    step.start();
    step.began(PID);
    said();
    step.failed(fault("EAGAIN"));
    expect(said()[0]).toBe("guard - 0");
    expect(step.group).toBeUndefined();
    vi.advanceTimersByTime(1_000);
    step.began(OTHER_PID);
    // Pids may have gone round since it was asked for: no mark.
    expect(said()).toEqual(["start", "guard + 1"]);
    step.exited(0, null);
    // Nor is it looked for behind the pid of the one before: all processes are looked at.
    expect(said()).toEqual([]);
    step.closed();
    expect(said().filter((one) => one.startsWith("guard"))).toEqual(["guard - 1"]);
  });

  it("is not waited for where it was told to end, before or meanwhile", () => {
    for (const isBefore of [true, false]) {
      const { step, said, results } = played();
      step.start();
      if (isBefore) step.signal("SIGTERM");
      step.failed(fault("EAGAIN"));
      if (!isBefore) step.signal("SIGTERM");
      expect(results).toMatchObject([{ ok: false, error: { name: "SpawnError" } }]);
      said();
      vi.advanceTimersByTime(60_000);
      expect(said()).toEqual([]);
    }
  });

  it.each([
    ["ENOENT", " (is there a folder /w, and a program /bin/sh?)"],
    [
      "E2BIG",
      " (its environment and arguments are more than the system takes: " +
        "give fewer inputs and params, or one list of them)",
    ],
    ["EACCES", ""],
    // Descriptors are the runner's own: they may never come back.
    ["EMFILE", ""],
  ])("for the reason %s fails at once, with what to do", (code, what) => {
    const { step, results, said } = played({ cwd: "/w" });
    step.start();
    step.failed(fault(code));
    expect(results).toEqual([
      {
        ok: false,
        outcome: "failed",
        error: {
          name: "SpawnError",
          message: `the command could not be started: spawn ${code}${what}`,
          code,
        },
      },
    ]);
    expect(said()).toEqual(["start", "ended after 0"]);
  });
});

it("an error of a start is told without the step's secrets", () => {
  const { step, results } = played({ cwd: "/home/canary", secrets: ["canary"] });
  step.start();
  step.failed(fault("ENOENT"));
  expect(JSON.stringify(results)).toContain("is there a folder /home/***");
  expect(JSON.stringify(results)).not.toContain("canary");
});

it("an error that is cut has no half of a secret", () => {
  const before = "the command could not be started: spawn ENOENT (is there a folder ";
  const path = `/${"x".repeat(ERROR_CHARACTERS - before.length - 4)}`;
  const { step, results } = played({ cwd: `${path}canary/more`, secrets: ["canary"] });
  step.start();
  step.failed(fault("ENOENT"));
  expect(results).toMatchObject([{ error: { message: `${before}${path}***` } }]);
});

describe("a signal to a shell step", () => {
  it("that comes before its beginning is given then, and again until there is a group", () => {
    const kill = vi.spyOn(process, "kill").mockImplementation(() => {
      throw fault("ESRCH");
    });
    onTestFinished(() => kill.mockRestore());
    const { step } = played();
    step.start();
    step.signal("SIGTERM");
    expect(step.isTold).toBe(true);
    expect(kill).not.toHaveBeenCalled();
    step.began(PID);
    expect(kill.mock.calls).toEqual([[-PID, "SIGTERM"]]);
    vi.advanceTimersByTime(9);
    expect(kill.mock.calls).toHaveLength(1);
    kill.mockImplementation(() => true);
    vi.advanceTimersByTime(1);
    expect(kill.mock.calls).toHaveLength(2);
    vi.advanceTimersByTime(1_000);
    expect(kill.mock.calls).toHaveLength(2);
    step.kill();
    expect(kill.mock.calls.at(-1)).toEqual([-PID, "SIGKILL"]);
    step.exited(null, "SIGKILL");
    const calls = kill.mock.calls.length;
    step.signal("SIGTERM");
    expect(kill.mock.calls).toHaveLength(calls);
    step.closed();
  });

  it("that its group's account does not let through is sent once", () => {
    const kill = vi.spyOn(process, "kill").mockImplementation(() => {
      throw fault("EPERM");
    });
    onTestFinished(() => kill.mockRestore());
    const { step } = played();
    step.start();
    step.began(PID);
    step.signal("SIGTERM");
    vi.advanceTimersByTime(1_000);
    expect(kill.mock.calls).toEqual([[-PID, "SIGTERM"]]);
    step.exited(0, null);
    step.closed();
  });

  it("that ends it for good lets nobody wait for the word of its end", () => {
    const { step, said } = played();
    step.start();
    step.began(PID);
    said();
    step.kill();
    expect(said()).toEqual(["expect its end"]);
    step.exited(null, "SIGKILL");
    step.closed();
  });
});

it.each([
  ["short", "x".repeat(10), true],
  ["as long as an argument may be", "x".repeat(96 * 1_024), true],
  ["a byte longer", "x".repeat(96 * 1_024 + 1), false],
  ["longer in bytes alone", "é".repeat(60 * 1_024), false],
])("a text that is %s stands among the shell's arguments: %#", (_, text, isArgument) => {
  const { step, commands } = played({ text });
  step.start();
  const { words } = commands[0]!;
  expect(words.slice(0, 2)).toEqual(["/bin/sh", "-eu"]);
  expect(words.slice(2)).toEqual(isArgument ? ["-c", text] : [expect.stringMatching(/\.sh$/)]);
  step.abandon();
});
