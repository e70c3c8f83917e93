/** What a pool is made of, part by part: both sides of each bound, and the second time of each. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { TaskFrame } from "../../src/core/task-frame.ts";
import { FramedTask } from "../../src/core/task-frame.ts";
import { LINE_OVERHEAD, OUTPUT_LIMIT, type Task } from "../../src/core/task.ts";
import { silentLog } from "../../src/log.ts";
import { ClaimsFolder, leaveClaims } from "../../src/places/pool/claims.ts";
import { descendantsOf } from "../../src/places/pool/descendants.ts";
import { killByToken } from "../../src/places/pool/kill-by-token.ts";
import { Paces } from "../../src/places/pool/paces.ts";
import { pageBytes } from "../../src/places/pool/process-stat.ts";
import type { PoolMessage, RunnerSettings } from "../../src/places/pool/protocol.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import type { RunnerListener, RunnerProcess } from "../../src/places/pool/runner-process.ts";
import { forLoads, mayRepeat, useOf } from "../../src/places/pool/runner-use.ts";
import { ForcedStop } from "../../src/places/pool/forced-stop.ts";
import { StartGate } from "../../src/places/pool/start-gate.ts";
import { strayOutput } from "../../src/places/pool/stray-output.ts";
import { SentFrames } from "../../src/places/pool/sent-frames.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const SETTINGS: RunnerSettings = { threads: 2, bundles: "/b", scratch: "/s", token: "t" };
const word = (): string => `token-${Math.random().toString().slice(2)}`;

function began(words: readonly string[], token?: string): ChildProcess {
  const env = token === undefined ? process.env : { ...process.env, ORCHD_RUNNER_TOKEN: token };
  const child = spawn(words[0]!, words.slice(1), { env, stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

describe("a token", () => {
  it("is that of a runner or an attempt as a whole, and not of one that begins so", async () => {
    const token = word();
    const [own, ofAttempt, other] = ["", ".1/a", "0"].map((more) =>
      began(["sleep", "60"], `${token}${more}`),
    );
    const over = [own!, ofAttempt!].map((child) => once(child, "exit"));
    expect(killByToken(token)).toBe(2);
    expect(await Promise.all(over)).toEqual([
      [null, "SIGKILL"],
      [null, "SIGKILL"],
    ]);
    expect([other!.exitCode, other!.signalCode]).toEqual([null, null]);
  });
});

it("the descendants of processes are told once, and none of those asked about", async () => {
  const parent = began(["sh", "-c", "sleep 60 & echo $!; wait"]);
  const [line] = (await once(parent.stdout!, "data")) as [Buffer];
  const child = Number(line.toString());
  onTestFinished(() => void process.kill(child, "SIGKILL"));
  expect(descendantsOf([parent.pid!]).map(({ pid }) => pid)).toEqual([child]);
  expect(descendantsOf([parent.pid!, child])).toEqual([]);
  expect(descendantsOf([])).toEqual([]);
});

it("a page is as long as the kernel says, and 4 KiB where it says nothing", () => {
  const told = (...words: bigint[]): Uint8Array => new Uint8Array(new BigUint64Array(words).buffer);
  expect(pageBytes(told(33n, 6n, 6n, 65_536n, 0n, 0n))).toBe(65_536);
  expect(pageBytes(told(33n, 6n, 0n, 0n))).toBe(4_096);
  expect(pageBytes(new Uint8Array(7))).toBe(4_096);
  const known = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));
  expect(pageBytes()).toBe(known);
});

describe("a pace", () => {
  it("is that of what ended, at most ten times of before at once, by file and part", () => {
    const paces = new Paces();
    expect(paces.isBrief("f")).toBe(false);
    paces.ended("f", 0.5);
    expect(paces.isBrief("f")).toBe(true);
    expect(paces.isBrief("f", "other")).toBe(false);
    paces.set("g", 0.1);
    // One that takes long is 0.28, and a second one 0.78: too long.
    paces.ended("g", 60_000);
    expect(paces.isBrief("g")).toBe(true);
    paces.ended("g", 60_000);
    expect(paces.isBrief("g")).toBe(false);
  });

  it("is forgotten of the oldest of a thousand files", () => {
    const paces = new Paces();
    for (let file = 0; file <= 1_000; file += 1) paces.ended(String(file), 0.1);
    expect([paces.isBrief("0"), paces.isBrief("1")]).toEqual([false, true]);
  });
});

it.each([
  [1, 1],
  [1, 10],
  [12, 345],
])("the claims of epoch %i and runner %i are believed by the next daemon", (epoch, runner) => {
  const folder = join(tempRoot().root, "claims");
  const path = new ClaimsFolder(folder, epoch).begin(runner)!;
  leaveClaims(path, { runs: ["p@1"], claimed: ["p@1#2"] });
  const next = new ClaimsFolder(folder, epoch + 1);
  expect([next.mayHaveBegun("p@1", "p@1#2"), next.mayHaveBegun("p@1", "p@1#3")]).toEqual([
    true,
    false,
  ]);
});

describe("what a runner is for", () => {
  const flavor = (method: string): object => ({ kind: "flavor", method });
  const hook = (name: string): object => ({ kind: "hook", hook: name });
  it.each([
    [{ kind: "load" }, "loads", true],
    [{ kind: "cacheFunction" }, "steps", true],
    [flavor("describe"), "loads", true],
    [flavor("fetchStatus"), "steps", true],
    [flavor("submitPipeline"), "steps", false],
    [flavor("stopRun"), "steps", false],
    [hook("onMissed"), "steps", true],
    [hook("onFailure"), "steps", false],
    [hook("init"), "steps", false],
    [{ kind: "module" }, "steps", false],
    [{ kind: "shell" }, "steps", false],
    [{ kind: "dynamic" }, "steps", false],
  ])("%j goes to the runner of %s, and a second time: %s", (task, use, again) => {
    expect([useOf(task as Task), mayRepeat(task as Task)]).toEqual([use, again]);
  });

  it("one of loads may hold a quarter of the machine, 512 MiB at least", () => {
    const part = Math.max(512, Math.floor(totalmem() / 4 / 1024 / 1024));
    expect(forLoads(SETTINGS).memoryMb).toBe(part);
    expect(forLoads({ ...SETTINGS, memoryMb: 100 }).memoryMb).toBe(100);
    expect(forLoads({ ...SETTINGS, memoryMb: part + 1 }).memoryMb).toBe(part);
  });
});

it("what a runner forgets is told once, and a frame that comes again has a new number", () => {
  const sent: PoolMessage[] = [];
  const frames = new SentFrames((message) => void sent.push(message));
  const frame: TaskFrame = {
    code: { bundle: "b", pick: "x", source: "./s.ts" },
    isolated: false,
    run: { id: "p@1", pipeline: "p" },
    env: {},
    gracePeriodMs: 1,
    artifacts: "/nowhere",
  };
  const task = new FramedTask(frame, "s", 1, { params: {}, inputs: {} });
  frames.start("a", task);
  frames.forget(frame);
  frames.forget(frame);
  expect([frames.takeForgotten(), frames.takeForgotten()]).toEqual([[1], []]);
  frames.start("b", task);
  frames.forget(frame);
  expect(frames.takeForgotten()).toEqual([2]);
  expect(sent.map(({ type }) => type)).toEqual(["frame", "step", "frame", "step"]);
});

describe("a pool", () => {
  interface Played {
    readonly sent: PoolMessage[];
    readonly listener: RunnerListener;
    pid: number | undefined;
    open: boolean;
  }
  function rig(claims?: ClaimsFolder): {
    readonly clock: VirtualClock;
    readonly pool: RunnerPool;
    readonly runners: Played[];
    readonly heard: unknown[][];
    start(id: string, more: object): void;
  } {
    const clock = new VirtualClock();
    const runners: Played[] = [];
    const heard: unknown[][] = [];
    const pool = new RunnerPool({
      clock,
      claims,
      settings: SETTINGS,
      launch: (_settings, number, alone, listener) => {
        const sent: PoolMessage[] = [];
        const played = { sent, listener, alone, pid: number as number | undefined, open: true };
        runners.push(played);
        const ends = { kill: () => undefined, retire: () => undefined, settle: () => undefined };
        const rest = { secrets: new Set(), send: (one: PoolMessage) => void sent.push(one) };
        const over = { close: () => Promise.resolve(), exited: Promise.resolve() };
        return Object.assign(played, ends, rest, over) as unknown as RunnerProcess;
      },
    });
    const start = (id: string, more: object): void => {
      const run = { id: "p@1", pipeline: "p", attempt: 1 };
      const code = { bundle: "b", pick: "x", source: "./s.ts" };
      const task = { kind: "module", run, step: "s", code, gracePeriodMs: 1_000, ...more };
      pool.start(id, task as unknown as Task, {
        done: (result, durationMs) => void heard.push([id, "done", result.ok, durationMs]),
        output: () => undefined,
        died: ({ inFlight }) => void heard.push([id, "died", inFlight]),
      });
    };
    return { clock, pool, runners, heard, start };
  }
  const die = (runner: Played): void => {
    runner.open = false;
    runner.pid = undefined;
    runner.listener.exit({ detail: "was ended", outOfMemory: false });
  };

  it("counts a load that is repeated from its second beginning", async () => {
    const { clock, pool, runners, heard, start } = rig();
    start("load", { kind: "load" });
    await clock.advance(10_000);
    die(runners[0]!);
    await clock.advance(500);
    pool.stop("load", "force", "asked");
    die(runners[1]!);
    expect(heard).toEqual([["load", "done", false, 500]]);
  });

  it.each([
    ["module", ["a"]],
    ["shell", ["a"]],
    ["load", []],
  ])("tells the next runner that a %s task may have begun: %j", (kind, claimed) => {
    const { runners, start } = rig(new ClaimsFolder(join(tempRoot().root, "claims"), 1));
    start("a", { kind });
    for (const runner of runners.slice()) die(runner);
    const before = runners.length;
    start("b", {});
    const leave = runners.slice(before).flatMap(({ sent }) => sent);
    expect(leave.find(({ type }) => type === "leave")).toMatchObject({ claimed });
  });

  it("removes the files of an answer that nobody waits for", () => {
    const { runners, start } = rig();
    const file = join(tempRoot().root, "staged");
    writeFileSync(file, "1");
    start("a", {});
    const ref = { $artifact: "0".repeat(64), bytes: 1 };
    const result = { ok: true, staged: { value: ref, files: [{ ref, file }] } } as const;
    const done = { type: "done", id: "gone", result, durationMs: 1, startedAt: 0 } as const;
    runners[0]!.listener.messages([done]);
    expect(existsSync(file)).toBe(false);
  });
});

describe("the gate before a start", () => {
  function gate(because: (string | undefined)[]) {
    const clock = new VirtualClock();
    const told: string[] = [];
    let looks = 0;
    const whyNot = (): string | undefined => because[Math.min(looks++, because.length - 1)];
    const says = (_: object, sentence: string): void => void told.push(sentence);
    const log = { ...silentLog, info: says, error: says };
    const onOpen = (): void => void told.push("open");
    const made = new StartGate({ clock, log, whyNot, onOpen });
    return { clock, told, gate: made, looks: () => looks };
  }

  it("looks once a second at most while it is open, and says nothing of that", async () => {
    const { clock, told, gate: made, looks } = gate([undefined]);
    expect([made.isOpen, made.isOpen, looks()]).toEqual([true, true, 1]);
    await clock.advance(999);
    expect([made.isOpen, looks()]).toEqual([true, 1]);
    await clock.advance(1);
    expect([made.isOpen, looks(), clock.timers, told]).toEqual([true, 2, 0, []]);
  });

  it("says once why it is closed, again where that changes, and that it is open", async () => {
    const { clock, told, gate: made, looks } = gate(["full", "full", "full", "old", undefined]);
    expect([made.isOpen, made.isOpen, looks()]).toEqual([false, false, 1]);
    await clock.advance(2_000);
    expect([looks(), told]).toEqual([3, ["no step begins: full"]]);
    await clock.advance(1_000);
    expect(told.slice(1)).toEqual(["no step begins: old"]);
    await clock.advance(1_000);
    expect(told.slice(2)).toEqual(["steps begin again", "open"]);
    expect([made.isOpen, clock.timers, looks()]).toEqual([true, 0, 5]);
  });

  it("looks no more once it is shut, and is open where nobody knows a reason", async () => {
    const { clock, gate: made, looks } = gate(["full"]);
    expect(made.isOpen).toBe(false);
    made.close();
    await clock.advance(10_000);
    expect(looks()).toBe(1);
    expect(new StartGate({ clock, onOpen: () => expect.fail("open") }).isOpen).toBe(true);
  });
});

describe("a forced stop", () => {
  function stop(lives: (asked: number) => boolean) {
    const clock = new VirtualClock();
    const runner = { asked: [] as number[], killed: undefined as number | undefined };
    const process = {
      ask: () => void runner.asked.push(clock.monotonic()),
      kill: () => (runner.killed = clock.monotonic()),
      get lives() {
        return lives(runner.asked.length);
      },
    } as unknown as RunnerProcess;
    const holder = { process };
    const made = new ForcedStop(clock, 2_000, "asked", () => holder.process);
    return { clock, runner, holder, made };
  }

  it("kills a runner that gives no sign of life 1.25 s after the grace period", async () => {
    const { clock, runner } = stop(() => false);
    await clock.advance(3_249);
    expect(runner).toEqual({ asked: [2_000], killed: undefined });
    await clock.advance(1);
    expect([runner.killed, clock.timers]).toEqual([3_250, 0]);
  });

  it("asks one that lives again, and kills it 10 s after the grace period", async () => {
    const { clock, runner } = stop(() => true);
    await clock.advance(11_999);
    expect([runner.asked.length, runner.killed]).toEqual([8, undefined]);
    await clock.advance(60_000);
    expect([runner.asked.length, runner.killed]).toEqual([8, 12_000]);
  });

  it("asks another runner that has the task meanwhile, before it kills that", async () => {
    const { clock, runner, holder } = stop(() => false);
    await clock.advance(2_500);
    const other = { asked: 0, killed: 0, lives: false };
    const ask = (): void => void (other.asked += 1);
    const kill = (): void => void (other.killed += 1);
    holder.process = { ask, kill, lives: false } as unknown as RunnerProcess;
    await clock.advance(750);
    expect([runner.killed, other.asked, other.killed]).toEqual([undefined, 1, 0]);
    await clock.advance(1_250);
    expect([other.asked, other.killed]).toEqual([1, 1]);
  });

  it("does nothing once the task has ended, before the grace period or after it", async () => {
    for (const at of [1_999, 2_600]) {
      const { clock, runner, made } = stop(() => false);
      await clock.advance(at);
      made.cancel();
      await clock.advance(60_000);
      expect([runner.killed, made.because]).toEqual([undefined, "asked"]);
    }
  });
});

describe("lines that a task printed past the capture", () => {
  const run = { id: "p@1", pipeline: "p", attempt: 2 };
  const task = { kind: "shell", run, step: "s" } as unknown as Task;
  const masker = { text: (line: string) => line.replaceAll("secret", "***") } as never;
  const given = (printer: { task: Task; stray: number }, ...lines: string[]): string[] =>
    strayOutput(printer, "stderr", lines, masker, "then").map((one) => {
      expect(one).toMatchObject({ at: "then", step: "s", attempt: 2, stream: "stderr" });
      return one.line;
    });
  const LAST = "[orchd: more than 8 MiB was written past the capture; the rest is dropped]";

  it("are kept up to the limit without secrets, then one line says so, then nothing", () => {
    const printer = { task, stray: OUTPUT_LIMIT - 6 - LINE_OVERHEAD };
    expect(given(printer, "secret")).toEqual(["***"]);
    expect(printer.stray).toBe(OUTPUT_LIMIT);
    expect(given(printer, "", "secret")).toEqual(["", "***", LAST]);
    expect(given(printer, "more")).toEqual([]);
  });
});
