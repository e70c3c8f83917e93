/** How a piece ends that did not end by itself, to the letter; and the frames of its runner. */
import { describe, expect, it } from "vitest";
import {
  describeTask,
  endResult,
  resultOfThread,
  threadDeath,
  type Piece,
} from "../../src/places/runner/piece.ts";
import { RunnerFrames } from "../../src/places/runner/runner-frames.ts";

const piece = (head: object = {}, more: object = {}): Piece =>
  ({ id: "a", head: { kind: "module", step: "it", ...head }, timers: [], ...more }) as never;

it.each([
  ["module", "it", 'step "it"'],
  ["shell", "it", 'step "it"'],
  ["hook", "(onFailure)", "the hook onFailure"],
  ["dynamic", "", "the dynamic function"],
  ["load", "", "the load function"],
])("a task of kind %s is called %s %s", (kind, step, name) => {
  expect(describeTask({ kind, step } as never)).toBe(name);
});

describe("the result of a piece", () => {
  it("is that of its thread: files, a text, an error, or that there is none", () => {
    const done = { type: "done", seq: 1 };
    expect(resultOfThread({ ...done, staged: { value: 1 }, json: "2" } as never)).toEqual({
      ok: true,
      staged: { value: 1 },
    });
    expect(resultOfThread({ ...done, json: "" } as never)).toEqual({ ok: true, json: "" });
    const error = { name: "TypeError", message: "x" };
    expect(resultOfThread({ ...done, error } as never)).toEqual({
      ok: false,
      outcome: "failed",
      error,
    });
    expect(resultOfThread(done as never)).toEqual({
      ok: false,
      outcome: "failed",
      error: { name: "Error", message: "the step failed and gave no reason" },
    });
  });

  const ending = { because: "by me", forced: true, heard: false };
  it.each<[string, object, object]>([
    [
      "that was stopped",
      { ending: { ...ending, outcome: "stopped" } },
      { ok: false, outcome: "stopped", error: { name: "Stopped", message: "by me" } },
    ],
    [
      "that was too late",
      { ending: { ...ending, outcome: "timeout" } },
      {
        ok: false,
        outcome: "timeout",
        error: {
          name: "TimeoutError",
          message: "by me: raise it (timeout), or find what holds it up",
          code: "ORCHD_STEP_TIMEOUT",
        },
      },
    ],
    [
      "that nobody told to end",
      {},
      { ok: false, outcome: "stopped", error: { name: "Stopped", message: "the step was ended" } },
    ],
    [
      "that has a fault of its own, whoever told it to end",
      { ending: { ...ending, outcome: "timeout" }, fault: { name: "OutOfMemory", message: "x" } },
      { ok: false, outcome: "failed", error: { name: "OutOfMemory", message: "x" } },
    ],
  ])("%s", (_, more, result) => {
    expect(endResult(piece({}, more))).toEqual(result);
  });
});

describe("the death of its thread", () => {
  const memory = Object.assign(new Error("x"), { code: "ERR_WORKER_OUT_OF_MEMORY" });
  it.each<[string, Piece, Error | undefined, number | undefined, object]>([
    [
      "by its own exit",
      piece(),
      undefined,
      undefined,
      {
        name: "WorkerExit",
        message: 'step "it" ended its own thread (process.exit(3)): return or throw instead',
        code: "ORCHD_WORKER_EXIT",
      },
    ],
    ["by what it threw", piece(), new TypeError("no"), 64, { name: "TypeError", message: "no" }],
    [
      "by its own limit, though the runner has one",
      piece({ memoryMb: 32 }),
      memory,
      64,
      { message: expect.stringContaining("32 MiB (resources.memoryMb)") },
    ],
    [
      "by its runner's limit",
      piece(),
      memory,
      64,
      { message: expect.stringContaining("64 MiB (runner.memoryMb in orchd.yaml)") },
    ],
    [
      "by what Node gives",
      piece(),
      memory,
      undefined,
      {
        name: "OutOfMemory",
        message: 'step "it" wants more memory than Node gives a thread',
        code: "ORCHD_OUT_OF_MEMORY",
      },
    ],
  ])("%s", (_, given, error, runnerMb, expected) => {
    expect(threadDeath(given, error, 3, runnerMb)).toMatchObject(expected);
  });
});

describe("the frames of a runner", () => {
  const head = {
    run: "r@1",
    pipeline: "r",
    bundle: "b",
    source: "./s.ts",
    isolated: false,
    gracePeriodMs: 300,
  };
  const step = { type: "step", id: "r@1#2", frame: 7, step: "it", attempt: 2 } as const;

  it("give their steps what all of these have in common", () => {
    const frames = new RunnerFrames();
    frames.learn({ type: "frame", frame: 7, head, text: "{}" } as never);
    expect(frames.piece({ ...step, parts: '{"a":1}' })).toMatchObject({
      id: "r@1#2",
      head: { ...head, kind: "module", step: "it", attempt: 2 },
      body: '{"a":1}',
      frame: { number: 7, text: "{}", forgotten: false },
    });
    expect(frames.piece(step as never).body).toBe("");
  });

  it("are forgotten once, by the threads that knew them, and pieces keep them", () => {
    const frames = new RunnerFrames();
    frames.learn({ type: "frame", frame: 7, head, text: "{}" } as never);
    const { frame } = frames.piece(step);
    const forgot: number[] = [];
    frame!.threads.add({ forget: (number) => forgot.push(number) });
    frames.forget([7, 8]);
    frames.forget([7]);
    expect([forgot, frame!.forgotten, frame!.threads.size]).toEqual([[7], true, 0]);
    expect(() => frames.piece(step as never)).toThrow(
      'step "r@1#2" is of frame 7, which is unknown',
    );
  });
});
