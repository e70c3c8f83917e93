/**
 * The pool over runners that a test plays: what it makes of each message, of output that no task
 * claims, and of a death, by who may be to blame.
 */
import { existsSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { FramedTask } from "../../src/core/task-frame.ts";
import { OUTPUT_LIMIT, type Task, type TaskResult } from "../../src/core/task.ts";
import type { FromRunner, RunnerSettings, ToRunner } from "../../src/places/pool/protocol.ts";
import type {
  RunnerExit,
  RunnerListener,
  RunnerProcess,
} from "../../src/places/pool/runner-process.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import type { Log } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A runner that does what the test says. */
const played = vi.hoisted(() => {
  class PlayedRunner {
    static all: PlayedRunner[] = [];
    readonly secrets = new Set<string>();
    readonly sent: unknown[] = [];
    readonly frames = {
      start: (id: string) => void this.sent.push({ type: "framed", id }),
      forget: () => undefined,
    };
    readonly happened: string[] = [];
    open = true;
    pid: number | undefined;
    lives = false;
    asks = 0;
    readonly alone: boolean;
    readonly settings: unknown;
    readonly listener: unknown;
    readonly exited = Promise.resolve();
    constructor(settings: unknown, number: number, alone: boolean, listener: unknown) {
      this.settings = settings;
      this.pid = 1_000 + number;
      this.alone = alone;
      this.listener = listener;
      PlayedRunner.all.push(this);
    }
    send(message: unknown): void {
      this.sent.push(message);
    }
    ask(): void {
      this.asks += 1;
    }
    settle(ids: readonly string[]): void {
      this.happened.push(`settle ${ids.join(" ")}`);
    }
    retire(): void {
      this.open = false;
      this.happened.push("retire");
    }
    close(): Promise<void> {
      this.open = false;
      this.happened.push("close");
      return Promise.resolve();
    }
    kill(): void {
      this.open = false;
      this.happened.push("kill");
    }
  }
  return PlayedRunner;
});
type Played = InstanceType<typeof played>;

let clock: VirtualClock;
let pool: RunnerPool;
let heard: unknown[];
let log: [level: string, fields: object, sentence: string][];
let ends: { readonly result: TaskResult; readonly startedAt: number }[];
const SETTINGS: RunnerSettings = { threads: 2, bundles: "/b", scratch: "/s", token: "t" };
const listener = (runner: Played): RunnerListener => runner.listener as RunnerListener;
const says = (runner: Played, ...batch: FromRunner[]): void => listener(runner).messages(batch);
const dies = (runner: Played, more: Partial<RunnerExit> = {}): void => {
  runner.open = false;
  runner.pid = undefined;
  listener(runner).exit({ detail: "was ended by SIGKILL", outOfMemory: false, ...more });
};
const runner = (number: number): Played => played.all[number]!;

beforeEach(() => {
  played.all = [];
  clock = new VirtualClock();
  heard = [];
  log = [];
  ends = [];
  const at =
    (level: string) =>
    (fields: object, sentence: string): void =>
      void log.push([level, fields, sentence]);
  const given = { info: at("info"), warn: at("warn") } as unknown as Log;
  pool = new RunnerPool({
    clock,
    launch: (...given) => new played(...given) as unknown as RunnerProcess,
    settings: SETTINGS,
    log: given,
  });
});

const task = (more: object = {}): Task =>
  ({
    kind: "module",
    run: { id: "p@1", pipeline: "p", attempt: 1 },
    step: "s",
    code: { bundle: "b", pick: "x", source: "./s.ts" },
    params: {},
    inputs: {},
    env: {},
    isolated: false,
    gracePeriodMs: 1_000,
    ...more,
  }) as never;

function start(id: string, more: object = {}, alone = false): void {
  pool.start(
    id,
    task(more),
    {
      done: (result, durationMs, startedAt) => {
        heard.push([id, "done", result.ok, durationMs]);
        ends.push({ result, startedAt });
      },
      output: (lines) => void heard.push([id, "output", ...lines.map(({ line }) => line)]),
      died: (death) => void heard.push([id, "died", death]),
    },
    { alone },
  );
}
const done = (id: string, more: object = {}): FromRunner => ({
  type: "done",
  id,
  result: { ok: true, json: "1" },
  durationMs: 7,
  startedAt: 0,
  ...more,
});
const output = (id: string, line: string): FromRunner => ({
  type: "output",
  id,
  at: "2026-11-23T02:00:00.000Z",
  stream: "stdout",
  lines: [line],
});
const types = (it: Played): string[] => (it.sent as ToRunner[]).map((one) => one.type);
const took = (ms: number): Promise<unknown> => clock.advance(ms);

it("has no room while no program may be started, looks each second, and says so once", async () => {
  let because: string | undefined;
  const told: string[] = [];
  const tell = (_fields: object, sentence: string): void => void told.push(sentence);
  pool = new RunnerPool({
    clock,
    launch: (...given) => new played(...given) as unknown as RunnerProcess,
    settings: SETTINGS,
    log: { info: tell, warn: tell, error: tell, debug: tell },
    whyNot: () => because,
  });
  pool.onCapacity(() => void told.push("room"));
  const room = pool.capacity();
  expect(room["shell"]).toBeGreaterThan(0);
  because = "orchd 2 was installed: start it again";
  expect(pool.capacity()).toEqual(room);
  await took(1_000);
  expect([pool.capacity(), pool.capacity()]).toEqual([
    { module: 0, shell: 0 },
    { module: 0, shell: 0 },
  ]);
  await took(5_000);
  expect(told).toEqual([`no step begins: ${because}`]);
  because = undefined;
  await took(1_000);
  expect(told.slice(1)).toEqual(["steps begin again", "room"]);
  expect(pool.capacity()).toEqual(room);
});

it("tells the pid of each start: one that ends before its first word is started again", () => {
  start("a");
  listener(runner(0)).started(71);
  listener(runner(0)).started(72);
  expect(log).toEqual([
    ["info", { runner: 71, use: "steps", alone: false }, "a runner was started"],
    ["info", { runner: 72, use: "steps", alone: false }, "a runner was started"],
  ]);
});

it("looks no more at whether programs may be started once it is closed", async () => {
  const whyNot = vi.fn<() => string>(() => "another release");
  const launch = (): never => {
    throw new Error("nothing is launched");
  };
  pool = new RunnerPool({ clock, launch, settings: SETTINGS, whyNot });
  pool.capacity();
  await pool.close();
  await took(10_000);
  expect(whyNot).toHaveBeenCalledTimes(1);
});

describe("a message", () => {
  it("counts for the task that it names, until that has ended", () => {
    start("a");
    start("b");
    says(runner(0), output("a", "one"), done("a"), output("a", "late"), done("a"), done("b"));
    expect(heard).toEqual([
      ["a", "output", "one"],
      ["a", "done", true, 7],
      ["b", "done", true, 7],
    ]);
  });

  it("of a runner that was replaced does not count for what runs elsewhere by now", () => {
    start("stuck");
    start("moved");
    const late: FromRunner = {
      type: "stuck",
      id: "stuck",
      result: { ok: false, outcome: "stopped", error: { name: "E", message: "m" } },
      durationMs: 9,
      startedAt: 0,
      unstarted: ["moved", "unknown"],
    };
    says(runner(0), late);
    expect(runner(0).happened).toEqual(["retire", "kill"]);
    expect(types(runner(1))).toEqual(["start"]);
    // The old runner says something of the task that another one has now.
    says(runner(0), output("moved", "old"), done("moved", { durationMs: 1 }));
    expect(heard).toEqual([]);
    says(runner(1), output("moved", "new"), done("moved"));
    dies(runner(0));
    expect(heard).toEqual([
      ["moved", "output", "new"],
      ["moved", "done", true, 7],
      ["stuck", "done", false, 9],
    ]);
  });

  it("of a runner for which there is no next one has what did not begin start anew", () => {
    pool = new RunnerPool({
      clock,
      launch: (...given) => {
        if (played.all.length > 0) throw new Error("ENOSPC: no space left on device");
        return new played(...given) as unknown as RunnerProcess;
      },
      settings: SETTINGS,
    });
    start("stuck");
    start("moved");
    pool.stop("moved", "force", "asked");
    const late = { ...done("stuck"), type: "stuck", unstarted: ["moved"] } as FromRunner;
    says(runner(0), late);
    expect(runner(0).happened).toEqual(["retire", "kill"]);
    const death = {
      inFlight: ["moved"],
      alone: false,
      because: "the next runner could not be started: ENOSPC: no space left on device",
      code: "ORCHD_PLACE",
      blameless: "unbegun",
    };
    expect(heard).toEqual([["moved", "died", death]]);
    expect(clock.timers).toBe(0);
    dies(runner(0));
    expect(heard).toHaveLength(2);
  });

  it.each(["graceful", "force"] as const)(
    "of a runner that was replaced is followed by a %s stop that it did not hear",
    (mode) => {
      start("stuck");
      start("moved");
      pool.stop("moved", mode, "asked");
      pool.stop("moved", "graceful", "late");
      const result = { ok: false, outcome: "stopped", error: { name: "E", message: "m" } } as const;
      const times = { durationMs: 9, startedAt: 0 };
      const unstarted = ["moved"];
      says(runner(0), { type: "stuck", id: "stuck", result, ...times, unstarted });
      expect(types(runner(1))).toEqual(["start", "stop"]);
      expect(runner(1).sent[1]).toMatchObject({ id: "moved", mode });
    },
  );

  it("that sets a task aside names all that were beside it", () => {
    start("a");
    const code = "ORCHD_OUT_OF_MEMORY";
    says(runner(0), { type: "aside", id: "a", beside: ["b"], because: "it grew", code });
    const death = { inFlight: ["a", "b"], alone: false, because: "it grew", code };
    expect(heard).toEqual([["a", "died", death]]);
    says(runner(0), done("a"));
    expect(heard).toHaveLength(1);
  });

  it("that sets aside what was told to end by force ends the watch over that", async () => {
    start("a");
    pool.stop("a", "force", "asked");
    const code = "ORCHD_OUT_OF_MEMORY";
    says(runner(0), { type: "aside", id: "a", beside: [], because: "it grew", code });
    await took(60_000);
    expect([runner(0).asks, runner(0).happened, clock.timers]).toEqual([0, [], 0]);
  });

  it("that a task has begun counts from the runner that has it", () => {
    const many = availableParallelism();
    const ahead = (id: string): void =>
      pool.start(
        id,
        task(),
        {
          done: () => undefined,
          output: () => undefined,
          died: ({ behind }) => void heard.push([id, behind === true ? "behind" : "suspect"]),
        },
        { ahead: true },
      );
    for (let nth = 0; nth <= many; nth += 1) ahead(String(nth));
    start("stuck");
    const last = String(many);
    const stuck = { ...done("stuck"), type: "stuck", unstarted: [last] } as FromRunner;
    says(runner(0), stuck);
    // The one before says so of a task that the next one has by now.
    says(runner(0), { type: "begun", ids: [last, "0"] });
    for (let nth = 0; nth < many; nth += 1) ahead(`new ${nth}`);
    says(runner(1), { type: "begun", ids: Array.from({ length: many }, (_, n) => `new ${n}`) });
    heard = [];
    dies(runner(1));
    expect(heard).toEqual([
      [last, "behind"],
      ...Array.from({ length: many }, (_, n) => [`new ${n}`, "suspect"]),
    ]);
    // Where the runner said of none, the oldest may be to blame: one a processor.
    heard = [];
    for (let nth = 0; nth <= many; nth += 1) ahead(`last ${nth}`);
    dies(runner(2));
    expect(heard).toEqual([
      ...Array.from({ length: many }, (_, n) => [`last ${n}`, "suspect"]),
      [`last ${many}`, "behind"],
    ]);
  });
});

describe("output that passed by the capture", () => {
  const stray = (it: Played, ...lines: string[]): void => listener(it).stray("stdout", lines);
  it("is the one task's that can have written it", () => {
    start("a");
    start("sh", { kind: "shell", run: "x", code: undefined });
    stray(runner(0), "x", "y");
    expect(heard).toEqual([["a", "output", "x", "y"]]);
  });

  it("has no half of a secret in the log, where that cuts it", () => {
    start("a", { secrets: ["canary"] });
    start("b");
    const before = "x".repeat(497);
    stray(runner(0), `${before}canary and more`);
    expect(log.at(-1)![1]).toMatchObject({ line: `${before}***` });
  });

  it("is nobody's where there are several tasks, or none, and stands in the log", () => {
    start("a");
    start("b");
    stray(runner(0), "x".repeat(600), "y");
    expect(heard).toEqual([]);
    const sentence = "a runner printed what belongs to no step";
    expect(log.at(-1)).toEqual([
      "warn",
      { stream: "stdout", line: "x".repeat(500), lines: 2 },
      sentence,
    ]);
    says(runner(0), done("a"), done("b"));
    heard = [];
    stray(runner(0), "late");
    expect(heard).toEqual([]);
    expect(log.at(-1)).toEqual(["warn", { stream: "stdout", line: "late", lines: 1 }, sentence]);
  });

  it("is masked with all secrets that the runner was given, also of a step that has ended", () => {
    start("a", { secrets: ["hunter2x"] });
    says(runner(0), done("a"));
    stray(runner(0), "of nobody: hunter2x");
    expect(log.at(-1)).toMatchObject(["warn", { line: "of nobody: ***" }, expect.any(String)]);
    start("b");
    heard = [];
    stray(runner(0), "it is hunter2x");
    expect(heard).toEqual([["b", "output", "it is ***"]]);
  });

  it("of a task is kept up to a limit, and a last line says so", () => {
    start("a");
    const line = "x".repeat(OUTPUT_LIMIT / 2);
    stray(runner(0), line);
    expect(heard).toHaveLength(1);
    stray(runner(0), line);
    expect((heard[1] as string[]).at(-1)).toBe(
      "[orchd: more than 8 MiB was written past the capture; the rest is dropped]",
    );
    stray(runner(0), "more");
    expect(heard).toHaveLength(2);
  });
});

describe("a death", () => {
  const death = (more: object): object => ({
    alone: false,
    because: "the runner was ended by SIGKILL",
    code: "ORCHD_RUNNER_DIED",
    ...more,
  });

  it("is told to each task in the runner, with all that may be to blame", () => {
    start("a");
    start("b");
    start("c", {}, true);
    dies(runner(0));
    expect(heard).toEqual([
      ["a", "died", death({ inFlight: ["a", "b"] })],
      ["b", "died", death({ inFlight: ["a", "b"] })],
    ]);
    heard = [];
    dies(runner(1), { outOfMemory: true, detail: "ran out of memory" });
    expect(heard).toEqual([
      [
        "c",
        "died",
        {
          inFlight: ["c"],
          alone: true,
          because: "the runner ran out of memory",
          code: "ORCHD_OUT_OF_MEMORY",
        },
      ],
    ]);
  });

  it.each([
    [4_999, ["b", "a"]],
    [5_000, ["b"]],
  ])("%i ms after a task ended may be its doing", async (ms, inFlight) => {
    start("a");
    start("b");
    says(runner(0), done("a"));
    heard = [];
    await took(ms);
    dies(runner(0));
    expect(heard).toEqual([["b", "died", death({ inFlight })]]);
  });

  it("lets what may run twice start again, once, in a runner of its own", () => {
    start("load", { kind: "load" });
    dies(runner(0));
    expect(heard).toEqual([]);
    expect([runner(1).alone, types(runner(1))]).toEqual([true, ["start"]]);
    dies(runner(1));
    expect(heard).toEqual([["load", "died", death({ alone: true, inFlight: ["load"] })]]);
  });

  it("is told to all where one that may run twice gets no runner of its own", () => {
    pool = new RunnerPool({
      clock,
      launch: (...given) => {
        if (played.all.length > 0) throw new Error("ENOSPC: no space left on device");
        return new played(...given) as unknown as RunnerProcess;
      },
      settings: SETTINGS,
    });
    start("key", { kind: "cacheFunction" });
    start("step");
    dies(runner(0));
    const because = "the next runner could not be started: ENOSPC: no space left on device";
    expect(heard).toEqual([
      ["key", "died", expect.objectContaining({ because, blameless: "unbegun" })],
      ["step", "died", expect.objectContaining({ inFlight: ["key", "step"] })],
    ]);
  });

  it("lets what may run twice hear again that it was told to stop", () => {
    start("load", { kind: "load" });
    pool.stop("load", "graceful", "asked");
    dies(runner(0));
    expect(types(runner(1))).toEqual(["start", "stop"]);
  });

  it("of one that was told to end by force is its stop", async () => {
    await took(10_000);
    start("a");
    pool.stop("a", "force", "asked");
    await took(2_249);
    expect(runner(0).happened).toEqual([]);
    await took(1);
    expect(runner(0).happened).toEqual(["kill"]);
    dies(runner(0));
    expect(heard).toEqual([["a", "done", false, 2_250]]);
    const error = { name: "StepStopped", message: "stopped with its runner: asked" };
    const began = clock.now() - 2_250;
    expect(ends).toEqual([{ result: { ok: false, outcome: "stopped", error }, startedAt: began }]);
  });

  it("is told in the log by what it had, and says that there is room again", () => {
    const room: number[] = [];
    pool.onCapacity(() => void room.push(pool.room("module")));
    start("a");
    start("b");
    dies(runner(0));
    expect(log.at(-1)).toEqual(["warn", { inFlight: ["a", "b"] }, "a runner was ended by SIGKILL"]);
    expect(room).toEqual([2]);
  });

  it("of a runner for loads that idled is told as a death where it had a load again", async () => {
    start("l", { kind: "load" });
    says(runner(0), done("l"));
    await took(30_000);
    runner(0).open = true;
    start("m", { kind: "load" });
    dies(runner(0));
    expect(log.find(([level]) => level === "warn")).toEqual([
      "warn",
      { inFlight: ["m"] },
      "a runner was ended by SIGKILL",
    ]);
  });

  it("waits while the runner of a forced stop gives signs of life, and 10 s at most", async () => {
    start("a");
    pool.stop("a", "force", "asked");
    runner(0).lives = true;
    await took(999);
    expect(runner(0).asks).toBe(0);
    await took(1);
    expect(runner(0).asks).toBe(1);
    await took(9_999);
    expect([runner(0).asks, runner(0).happened]).toEqual([8, []]);
    await took(1);
    expect(runner(0).happened).toEqual(["kill"]);
  });

  it("comes with the first sign of life that is missing", async () => {
    start("a");
    pool.stop("a", "force", "asked");
    runner(0).lives = true;
    await took(2_250);
    runner(0).lives = false;
    await took(1_249);
    expect(runner(0).happened).toEqual([]);
    await took(1);
    expect(runner(0).happened).toEqual(["kill"]);
  });

  it("is not that of a runner that was never asked, where the task has moved", async () => {
    start("stuck");
    start("moved");
    pool.stop("moved", "force", "asked");
    await took(1_500);
    const result = { ok: false, outcome: "stopped", error: { name: "E", message: "m" } } as const;
    const unstarted = ["moved"];
    const times = { durationMs: 9, startedAt: 0 };
    says(runner(0), { type: "stuck", id: "stuck", result, ...times, unstarted });
    await took(750);
    expect([runner(1).asks, runner(1).happened]).toEqual([1, []]);
    await took(1_250);
    expect(runner(1).happened).toEqual(["kill"]);
  });

  it("does not come where the task ended in time, or was only asked", async () => {
    start("a");
    start("b");
    pool.stop("a", "force", "asked");
    pool.stop("a", "force", "again");
    pool.stop("b", "graceful", "asked");
    pool.stop("unknown", "force", "asked");
    expect(types(runner(0))).toEqual(["start", "start", "stop", "stop", "stop"]);
    says(runner(0), done("a"));
    await took(60_000);
    expect(runner(0).happened).toEqual([]);
  });
});

describe("runners", () => {
  it("are one for steps and one for loads, and one for each task that is alone", () => {
    start("a");
    start("b");
    start("l", { kind: "load" });
    start("c", {}, true);
    expect(played.all.map((it) => [it.alone, types(it).length])).toEqual([
      [false, 2],
      [false, 1],
      [true, 1],
    ]);
    expect(pool.pids()).toEqual([1_001, 1_002, 1_003]);
    says(runner(2), done("c"));
    says(runner(0), done("a"));
    expect(played.all.map((it) => it.happened)).toEqual([[], [], ["close"]]);
    runner(0).open = false;
    start("d");
    expect(types(runner(3))).toEqual(["start"]);
    // A retired one closes after its last task.
    says(runner(0), done("b"));
    expect(runner(0).happened).toEqual(["close"]);
  });

  it("for loads ends after its half minute, though a load runs alone meanwhile", async () => {
    start("l", { kind: "load" });
    says(runner(0), done("l"));
    await took(20_000);
    start("m", { kind: "load" }, true);
    await took(9_999);
    expect(runner(0).happened).toEqual([]);
    await took(1);
    expect([runner(0).happened, runner(1).happened]).toEqual([["close"], []]);
  });

  it("that wait for a load are not watched once the pool is closed", async () => {
    start("l", { kind: "load" });
    says(runner(0), done("l"));
    await pool.close();
    expect([clock.timers, runner(0).happened]).toEqual([0, ["close"]]);
  });

  it("for loads ends after half a minute without a load", async () => {
    start("l", { kind: "load" });
    says(runner(0), done("l"));
    await took(29_999);
    start("m", { kind: "load" });
    await took(60_000);
    expect(runner(0).happened).toEqual([]);
    says(runner(0), done("m"));
    await took(29_999);
    expect(runner(0).happened).toEqual([]);
    await took(1);
    expect(runner(0).happened).toEqual(["close"]);
    dies(runner(0));
    expect(log.at(-1)).toEqual([
      "info",
      { use: "loads" },
      "a runner had no more files to load and was ended",
    ]);
  });

  it("take no task twice, and none once the pool is closed", async () => {
    start("a");
    expect(() => start("a")).toThrow('"a" was started already and has not ended');
    start("b", {}, true);
    await pool.close();
    expect(played.all.map((it) => it.happened)).toEqual([["close"], ["close"]]);
    expect(() => start("c")).toThrow('"c" cannot be started: the runners are closed');
    says(runner(0), done("a"));
    dies(runner(0));
    expect(heard).toEqual([]);
    expect(pool.capacity()).toEqual({ module: 0, shell: 0 });
  });

  it("are killed where the pool is closed by force", async () => {
    start("a");
    await pool.close({ force: true });
    expect(runner(0).happened).toEqual(["kill"]);
  });
});

it("a call is answered, also where nobody answers", async () => {
  start("a");
  says(runner(0), { type: "call", id: "a", call: 3, method: "m", argument: null });
  await vi.waitFor(() => expect(runner(0).sent).toHaveLength(2));
  expect(runner(0).sent.at(-1)).toMatchObject({
    type: "reply",
    id: "a",
    call: 3,
    error: { message: 'nobody answers the call "m" here' },
  });
});

describe("the room of a lane", () => {
  const code = { bundle: "b", pick: "x", source: "./s.ts" };
  const spec = { code, hooks: {} } as unknown as SnapshotStep;

  it("is without what was promised, and none once the pool is closed", async () => {
    expect([pool.room("shell"), pool.room("module")]).toEqual([2, 2]);
    pool.promise("shell");
    start("a");
    expect([pool.room("shell"), pool.room("module")]).toEqual([1, 1]);
    pool.redeem("shell");
    expect(pool.room("shell")).toBe(2);
    await pool.close();
    expect([pool.room("shell"), pool.capacity()]).toEqual([0, { module: 0, shell: 0 }]);
  });

  it("is none while no program may be started", () => {
    const launch = (): never => {
      throw new Error("nothing is launched");
    };
    pool = new RunnerPool({ clock, launch, settings: SETTINGS, whyNot: () => "renewed" });
    expect([pool.room("module"), pool.room("shell"), pool.isOpen]).toEqual([0, 0, false]);
  });

  it("grows for what is brief, by steps that ended well alone", () => {
    start("a");
    says(
      runner(0),
      done("a", {
        durationMs: 0.1,
        result: { ok: false, outcome: "failed", error: { name: "E", message: "m" } },
      }),
    );
    expect([pool.share(spec), pool.room("module")]).toEqual([1, 2]);
    start("b");
    says(runner(0), done("b", { durationMs: 0.1 }));
    expect(pool.room("module")).toBe(4);
    expect(pool.share(spec)).toBeLessThan(1);
  });

  it("is taken in part by a step that is begun ahead, until as many ended after it", async () => {
    start("first");
    says(runner(0), done("first", { durationMs: 0.1 }));
    const share = pool.share(spec);
    const ahead = (id: string): void => {
      const none = { done: () => undefined, output: () => undefined, died: () => undefined };
      pool.start(id, task(), none, { ahead: true });
    };
    const most = 32 * Math.min(availableParallelism(), SETTINGS.threads);
    const ids = Array.from({ length: most }, (_, nth) => `a${nth}`);
    for (const id of ids) ahead(id);
    says(runner(0), ...ids.map((id) => done(id, { durationMs: 0.1 })));
    expect(pool.room("module")).toBe(4);
    ahead("waits");
    await took(1);
    expect(pool.room("module")).toBe(4 - share);
    for (const id of ids) ahead(id);
    says(runner(0), ...ids.map((id) => done(id, { durationMs: 0.1 })));
    // It is behind what does not end: it has its whole thread.
    expect(pool.room("module")).toBe(3);
  });
});

describe("what had begun", () => {
  const asked: unknown[] = [];
  beforeEach(() => {
    asked.length = 0;
    pool = new RunnerPool({
      clock,
      launch: (...given) => new played(...given) as unknown as RunnerProcess,
      settings: SETTINGS,
      claims: {
        begin: (number: number) => `/claims/${number}`,
        clear: () => void asked.push("clear"),
        end: () => void asked.push("end"),
        mayHaveBegun: (run: string, id: string) => run === "p@0" && id === "p@0#2",
      } as never,
    });
  });
  const leave = (it: Played): unknown => it.sent.find((one) => (one as ToRunner).type === "leave");

  it("is told to the next runner of steps: runs, and what may have begun and is open", () => {
    pool.expect("p@1");
    start("p@1#1");
    start("p@1#2", { kind: "shell", run: "x", code: undefined });
    start("p@1#load", { kind: "load" });
    expect(leave(runner(0))).toEqual({
      type: "leave",
      path: "/claims/1",
      runs: ["p@1"],
      claimed: [],
    });
    expect([leave(runner(1)), asked]).toEqual([undefined, ["clear", "clear"]]);
    pool.expect("p@2");
    expect([types(runner(0)).at(-1), types(runner(1)).at(-1)]).toEqual(["expect", "start"]);
    pool.settle(["p@1#1"]);
    expect([runner(0).happened, runner(1).happened]).toEqual([["settle p@1#1"], []]);
    dies(runner(0));
    start("p@1#3");
    expect(leave(runner(2))).toEqual({
      type: "leave",
      path: "/claims/3",
      runs: ["p@1", "p@2"],
      claimed: ["p@1#2"],
    });
    // One of its own has one task, and that begins.
    start("p@1#4", {}, true);
    expect(leave(runner(3))).toBeUndefined();
  });

  it("in an earlier daemon is known by what that left; else all may have", async () => {
    expect([pool.mayHaveBegun("p@0", "p@0#1"), pool.mayHaveBegun("p@0", "p@0#2")]).toEqual([
      false,
      true,
    ]);
    await pool.close();
    expect(asked).toEqual(["end"]);
    const launch = (): never => {
      throw new Error("nothing is launched");
    };
    pool = new RunnerPool({ clock, launch, settings: SETTINGS });
    expect(pool.mayHaveBegun("p@0", "p@0#1")).toBe(true);
  });
});

describe("a task", () => {
  it("of a frame is told by it, but in a runner of its own", () => {
    const frame = { code: { bundle: "b", pick: "x", source: "./s.ts" }, run: { id: "p@1" } };
    const framed = new FramedTask(frame as never, "s", 1, { params: {}, inputs: {} });
    const none = { done: () => undefined, output: () => undefined, died: () => undefined };
    pool.start("a", framed, none);
    pool.start("b", framed, none, { alone: true });
    expect([types(runner(0)), types(runner(1))]).toEqual([["framed"], ["start"]]);
  });

  it("that moved says so, and goes where the next ones go", () => {
    start("stuck");
    start("moved");
    const result = { ok: false, outcome: "stopped", error: { name: "E", message: "m" } } as const;
    const times = { durationMs: 9, startedAt: 0 };
    says(runner(0), { type: "stuck", id: "stuck", result, ...times, unstarted: ["moved"] });
    start("next");
    expect(runner(1).sent).toMatchObject([
      { id: "moved", isMoved: true },
      { id: "next", isMoved: undefined },
    ]);
  });

  it("that ends late leaves none of its files", () => {
    start("a");
    const { root } = tempRoot();
    const file = join(root, ".staged-1");
    writeFileSync(file, "1");
    const staged = { value: null, files: [{ ref: { $artifact: "x", bytes: 1 }, file }] };
    says(runner(0), done("gone", { result: { ok: true, staged } }));
    expect([existsSync(file), heard]).toEqual([false, []]);
  });

  it("that started again and is stopped took its second time alone", async () => {
    start("load", { kind: "load" });
    await took(5_000);
    dies(runner(0));
    await took(1_000);
    pool.stop("load", "force", "asked");
    await took(2_000);
    dies(runner(1));
    expect(heard).toEqual([["load", "done", false, 3_000]]);
  });

  it("is forgotten as the pool is closed: no watch goes on, and no death is told", async () => {
    start("a");
    start("c", {}, true);
    pool.stop("a", "force", "asked");
    await pool.close({ force: true });
    expect(clock.timers).toBe(0);
    log.length = 0;
    dies(runner(0));
    dies(runner(1));
    expect([heard, log]).toEqual([[], []]);
  });

  it("that was to end by force is watched no more once its runner has died", () => {
    start("a");
    pool.stop("a", "force", "asked");
    expect(clock.timers).toBe(1);
    dies(runner(0));
    expect([ends.length, clock.timers]).toEqual([1, 0]);
  });

  it("that moved once stays where it is, whatever its first runner says of it later", () => {
    start("first");
    start("second");
    start("moved");
    const stuck = (id: string): FromRunner =>
      ({ ...done(id), type: "stuck", unstarted: ["moved"] }) as FromRunner;
    says(runner(0), stuck("first"));
    expect(types(runner(1))).toEqual(["start"]);
    says(runner(0), stuck("second"));
    expect([played.all.length, types(runner(1))]).toEqual([2, ["start"]]);
  });
});

it("the death of a runner without tasks is told, but that of one that had its one task", () => {
  start("a");
  start("c", {}, true);
  says(runner(0), done("a"));
  says(runner(1), done("c"));
  log.length = 0;
  dies(runner(1), { detail: "ended with status 0" });
  expect(log).toEqual([]);
  dies(runner(0));
  expect(log).toEqual([["info", { inFlight: [] }, "a runner was ended by SIGKILL"]]);
});
