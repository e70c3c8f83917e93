/**
 * A runner whose process a test plays: when it is sent what, how often it is started and asked, and
 * what is done before its end is told. Not one process is started, and none is ended.
 */
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OtherRelease } from "../../src/disk/built-program.ts";
import type { ChannelHearing } from "../../src/places/local/runner-channel.ts";
import { RunnerChild } from "../../src/places/local/runner-child.ts";
import {
  LEASE_SIGNAL,
  type PoolMessage,
  type RunnerSettings,
} from "../../src/places/pool/protocol.ts";

const LAST_WORDS_MS = 250;
const CLOSE_MS = 2_000;
const RETRY_MS = 1_000;
const ASK_MS = 5_000;
const MOST_BEGINS = 30;
/** A number that no process has. */
const PID = 987_654_321;

const world = vi.hoisted(() => ({
  said: [] as string[],
  start: undefined as undefined | ((settings: string) => unknown),
  noProgram: undefined as Error | undefined,
  /** What /proc says of the main thread. */
  state: "S",
  /** Whether the process has a group. */
  hasGroup: true,
  noneLeft: undefined as Promise<unknown> | undefined,
  /** This machine's memory, in bytes. */
  memory: 0,
}));

vi.mock("node:os", async (original) => ({
  ...(await original<object>()),
  totalmem: () => world.memory,
}));

vi.mock("node:child_process", async (original) => ({
  ...(await original<object>()),
  spawn: (_node: string, [, settings]: [string, string]) => world.start!(settings),
}));
vi.mock("../../src/places/local/runner-channel.ts", async (original) => ({
  ...(await original<object>()),
  RunnerChannel: class {
    readonly #process: Process;
    constructor(process: Process, hearing: ChannelHearing) {
      this.#process = process;
      process.on("message", (batch: []) => hearing.batch(batch));
      process.on("disconnect", () => hearing.closed());
    }
    get isOpen(): boolean {
      return this.#process.connected;
    }
    send(batch: PoolMessage[]): void {
      if (this.#process.connected) this.#process.batches.push(batch);
    }
    end(): void {
      this.#process.disconnect();
    }
  },
}));
vi.mock("../../src/disk/built-program.ts", async (original) => ({
  ...(await original<object>()),
  builtProgram: () => {
    if (world.noProgram !== undefined) throw world.noProgram;
    return "runner.js";
  },
}));
vi.mock("../../src/places/pool/process-stat.ts", async (original) => ({
  ...(await original<object>()),
  processStat: () => [world.state],
}));
vi.mock("../../src/places/pool/kill-by-token.ts", async (original) => ({
  ...(await original<object>()),
  killByToken: (token: string) => void world.said.push(`ends all of ${token}`),
  endByToken: (token: string) => {
    world.said.push(`looks for ${token}`);
    return world.noneLeft ?? Promise.resolve();
  },
  killQuietly: (pid: number, signal: string) => {
    world.said.push(`${signal} to ${pid < 0 ? "its group" : "it"}`);
    return pid > 0 || world.hasGroup;
  },
}));

class Process extends EventEmitter {
  pid: number | undefined = PID;
  connected = true;
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  /** It is its own channel. */
  readonly stdio: readonly unknown[] = [null, null, null, this];
  readonly batches: PoolMessage[][] = [];

  disconnect(): void {
    this.connected = false;
    world.said.push("disconnects");
    this.emit("disconnect");
  }

  /** It is gone, and its channel with it. */
  ends(code: number | null, signal: string | null = null): void {
    this.emit("exit", code, signal);
    this.connected = false;
    this.emit("disconnect");
  }
}

const TASK = {
  kind: "shell",
  shell: ["/bin/sh"],
  cwd: "",
  text: "true",
  params: {},
  inputs: {},
  run: { id: "a@1", pipeline: "a", attempt: 1 },
  step: "it",
  env: {},
  gracePeriodMs: 100,
  artifacts: "/nowhere",
} as const;
const START = (id: string): PoolMessage => ({ type: "start", id, task: TASK });
const STOP = (id: string): PoolMessage => ({ type: "stop", id, mode: "force", because: "no" });

class Forked {
  readonly processes: Process[] = [];
  readonly settings: RunnerSettings[] = [];
  /** Why the next process is not started. */
  noStart: Error | undefined;
  readonly child: RunnerChild;

  constructor(settings: Partial<RunnerSettings> = {}, alone = false) {
    world.said.length = 0;
    world.start = (text) => this.#start(text);
    const given = { threads: 3, bundles: "/b", scratch: "/s", token: "t", ...settings };
    this.child = new RunnerChild(given, 7, alone, {
      started: () => world.said.push("started"),
      messages: (batch) => world.said.push(`messages ${JSON.stringify(batch)}`),
      stray: () => undefined,
      exit: ({ detail, outOfMemory, blameless }) => {
        const marks = [outOfMemory && "out of memory", blameless].filter(Boolean);
        world.said.push([`exit: ${detail}`, ...marks].join(", "));
      },
    });
  }

  #start(text: string): ChildProcess {
    this.settings.push(JSON.parse(text) as RunnerSettings);
    const process = new Process();
    this.processes.push(process);
    const { noStart } = this;
    if (noStart !== undefined) {
      process.pid = undefined;
      globalThis.process.nextTick(() => process.emit("error", noStart));
    }
    return process as unknown as ChildProcess;
  }

  get process(): Process {
    return this.processes.at(-1)!;
  }

  /** It says its first word. */
  async up(): Promise<this> {
    this.process.emit("message", []);
    await this.heard();
    this.process.batches.length = 0;
    return this;
  }

  async heard(): Promise<string[]> {
    await vi.advanceTimersByTimeAsync(0);
    return world.said.splice(0);
  }

  async later(milliseconds: number): Promise<string[]> {
    await vi.advanceTimersByTimeAsync(milliseconds);
    return world.said.splice(0);
  }
}

beforeEach(() => {
  Object.assign(world, { noProgram: undefined, state: "S", hasGroup: true, noneLeft: undefined });
  world.memory = 2 ** 40;
  vi.useFakeTimers({
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "setImmediate",
      "clearImmediate",
    ],
  });
});
afterEach(() => void vi.useRealTimers());

describe("a runner's messages", () => {
  it("wait for its first word, and go in one batch with what ended runs leave", async () => {
    const one = new Forked();
    one.child.send(START("a"));
    one.child.send(START("b"));
    one.child.settle(["x", "y"]);
    vi.spyOn(one.child.frames, "takeForgotten").mockReturnValueOnce([4]);
    await one.later(LAST_WORDS_MS);
    expect([one.process.batches, one.child.isUp]).toEqual([[], false]);
    one.process.emit("message", []);
    const kinds = (): string[][] =>
      one.process.batches.map((batch) => batch.map(({ type }) => type));
    expect(kinds()).toEqual([["start", "start", "forget", "settled"]]);
    expect(one.process.batches[0]!.at(-1)).toEqual({ type: "settled", ids: ["x", "y"] });
    // What is settled alone waits for a message that has to go, and goes once.
    one.child.settle(["z"]);
    await one.heard();
    expect(kinds()).toHaveLength(1);
    one.child.send(STOP("a"));
    one.child.send(STOP("b"));
    expect(kinds()).toHaveLength(1);
    await one.heard();
    one.child.send(STOP("c"));
    await one.heard();
    expect(kinds().slice(1)).toEqual([["stop", "stop", "settled"], ["stop"]]);
  });

  it("are taken back by a stop before they were sent, and never after", async () => {
    const one = new Forked();
    for (const id of ["a", "b"]) one.child.send(START(id));
    one.child.send(STOP("a"));
    one.child.send(STOP("c"));
    const [started, ...said] = await one.heard();
    expect([started, said.length]).toEqual(["started", 1]);
    expect(JSON.parse(said[0]!.slice("messages ".length))).toMatchObject([
      {
        type: "done",
        id: "a",
        result: { ok: false, outcome: "stopped", error: { name: "Stopped", message: "no" } },
        durationMs: 0,
      },
    ]);
    one.child.send({ type: "step", id: "e", frame: 1, step: "it", attempt: 1 });
    one.child.send(STOP("e"));
    expect((await one.heard()).map((text) => text.includes('"id":"e"'))).toEqual([true]);
    one.process.emit("message", []);
    const [batch] = one.process.batches;
    expect(batch!.map((message) => "id" in message && `${message.type} ${message.id}`)).toEqual([
      "start b",
      "stop c",
    ]);
    one.child.send(START("d"));
    one.child.send(STOP("d"));
    await one.heard();
    expect(one.process.batches[1]!.map(({ type }) => type)).toEqual(["start", "stop"]);
  });

  it("are none after its end, and a channel that is closed takes none", async () => {
    const one = await new Forked().up();
    one.process.connected = false;
    one.child.send(START("a"));
    await one.heard();
    expect(one.process.batches).toEqual([]);
    one.process.ends(1);
    await one.heard();
    one.child.send(START("b"));
    one.child.settle(["x"]);
    one.child.kill();
    expect([await one.later(LAST_WORDS_MS), one.child.open, one.child.pid]).toEqual([
      [],
      false,
      undefined,
    ]);
  });
});

describe("where nothing says how much memory it may hold", () => {
  /** What becomes of one that holds what this process does, on a machine of this size. */
  async function weighed(memoryMb: number, settings: Partial<RunnerSettings> = {}) {
    world.memory = memoryMb * 1024 * 1024;
    const one = await new Forked(settings).up();
    one.process.pid = process.pid;
    return { one, said: await one.later(1_000) };
  }

  it("has three quarters of the machine's", async () => {
    const { one, said } = await weighed(20);
    expect(said).toEqual(["ends all of t.7", "SIGKILL to its group"]);
    one.process.ends(null, "SIGKILL");
    const sentence = /^exit: held \d+ MiB and may hold 15 \(runner\.memoryMb.*, out of memory$/;
    expect((await one.heard()).at(-1)).toMatch(sentence);
    expect((await weighed(1024 * 1024)).said).toEqual([]);
    // What is said counts, however small the machine.
    expect((await weighed(20, { memoryMb: 100_000 })).said).toEqual([]);
  });
});

describe("a question for a sign of life", () => {
  const questions = (one: Forked): number =>
    one.process.batches.filter((batch) => batch.length === 0).length;

  it("comes every 5 s, and half a minute without an answer is the end", async () => {
    const one = await new Forked().up();
    await one.later(5 * ASK_MS);
    expect(questions(one)).toBe(5);
    one.process.emit("message", []);
    await one.later(6 * ASK_MS);
    expect([questions(one), world.said]).toEqual([11, []]);
    expect(await one.later(ASK_MS)).toEqual(["ends all of t.7", "SIGKILL to its group"]);
    one.process.ends(null, "SIGKILL");
    expect(await one.heard()).toEqual(["looks for t.7", "exit: did not answer for 30 s"]);
  });

  it("shares a lease, whose end is nobody's fault", async () => {
    const one = await new Forked({ leaseMs: 8_000 }).up();
    await one.later(8_000);
    expect([questions(one), world.said]).toEqual([4, []]);
    await one.later(2_000);
    one.process.ends(null, "SIGKILL");
    expect((await one.heard()).at(-1)).toBe("exit: did not answer for 8 s, lost");
    // One that is not up yet has nothing to answer with: it has half a minute all the same.
    const young = new Forked({ leaseMs: 8_000 });
    expect(await young.later(30_000)).toEqual(["started"]);
    expect(await young.later(2_000)).toEqual(["SIGKILL to it"]);
  });

  it("before its first word has it started again", async () => {
    const again = new Forked();
    await again.later(6 * ASK_MS);
    world.said.length = 0;
    // Nothing carries its token yet: it alone is ended.
    expect(await again.later(ASK_MS)).toEqual(["SIGKILL to it"]);
    again.process.ends(null, "SIGKILL");
    expect(await again.later(RETRY_MS)).toEqual(["started"]);
    // The questions to the one before do not count.
    expect(await again.later(6 * ASK_MS)).toEqual([]);
  });

  it("before its first word on a wire is the end", async () => {
    const wired = new Forked({ wire: { folder: "/f", isTemporary: true } });
    await wired.later(6 * ASK_MS);
    world.said.length = 0;
    expect(await wired.later(ASK_MS)).toEqual(["ends all of t.7", "SIGKILL to its group"]);
  });

  it("is not asked of one that is to end, and a late verdict does not count", async () => {
    const one = await new Forked().up();
    one.child.retire();
    await one.later(20 * ASK_MS);
    expect([questions(one), world.said, one.child.open]).toEqual([0, [], false]);
    one.process.ends(0);
    expect(await one.heard()).toEqual(["looks for t.7", "exit: ended with status 0"]);
  });

  it.each([
    ["R", true],
    ["D", true],
    ["S", false],
    ["T", false],
    ["Z", false],
  ])("is answered where its main thread is in state %s: %s", async (state, lives) => {
    const one = await new Forked().up();
    expect(one.child.lives).toBe(true);
    one.child.ask();
    world.state = state;
    expect([one.child.lives, questions(one)]).toEqual([lives, 1]);
    one.process.emit("message", []);
    expect(one.child.lives).toBe(true);
    one.child.ask();
    one.process.ends(1);
    await one.heard();
    expect(one.child.lives).toBe(false);
  });
});

describe("a process that ends before its first word", () => {
  it("is started again each second, thirty times in all", async () => {
    const one = new Forked();
    for (let begins = 1; begins < MOST_BEGINS; begins += 1) {
      one.process.ends(1);
      await one.later(RETRY_MS - 1);
      expect(one.processes).toHaveLength(begins);
      await one.later(1);
    }
    expect(one.processes).toHaveLength(MOST_BEGINS);
    world.said.length = 0;
    one.process.ends(3);
    expect(await one.later(RETRY_MS)).toEqual(["looks for t.7", "exit: ended with status 3"]);
    expect(one.processes).toHaveLength(MOST_BEGINS);
  });

  it.each<[string, Partial<RunnerSettings>, (one: Forked) => void, string]>([
    [
      "lacks memory",
      {},
      ({ process }) => process.stderr.write("FATAL ERROR: heap out of memory\n"),
      "exit: ran out of memory, out of memory",
    ],
    ["is to end", {}, ({ child }) => child.retire(), "exit: ended with status 1"],
    [
      "is on a wire",
      { wire: { folder: "/f", isTemporary: true } },
      () => undefined,
      "exit: ended with status 1",
    ],
  ])("is not started again where it %s", async (_, settings, act, said) => {
    const one = new Forked(settings);
    act(one);
    await one.heard();
    one.process.ends(1);
    expect((await one.later(RETRY_MS)).at(-1)).toBe(said);
    expect(one.processes).toHaveLength(1);
  });

  it("is none: there is none for now, or never", async () => {
    world.noProgram = new OtherRelease("another");
    const one = new Forked({}, true);
    expect([await one.later(RETRY_MS), one.child.pid, one.processes.length]).toEqual([
      [],
      undefined,
      0,
    ]);
    world.noProgram = undefined;
    one.noStart = Object.assign(new Error("spawn EAGAIN"), { code: "EAGAIN" });
    expect([await one.later(RETRY_MS), one.processes.length]).toEqual([[], 1]);
    one.noStart = undefined;
    expect(await one.later(RETRY_MS)).toEqual(["started"]);
    // It was started for one task.
    expect(one.settings.at(-1)).toMatchObject({ threads: 1, token: "t.7" });
    one.child.kill();
    world.noProgram = new OtherRelease("another");
    const gone = new Forked();
    world.noProgram = new Error("no such file");
    expect(await gone.later(2 * RETRY_MS)).toEqual([
      "looks for t.7",
      "exit: could not be started: no such file, unbegun",
    ]);
    world.noProgram = new OtherRelease("another");
    const unwanted = new Forked();
    const closed = unwanted.child.close();
    expect(await unwanted.later(RETRY_MS)).toEqual(["looks for t.7", "exit: could not be started"]);
    await closed;
    expect(unwanted.processes).toEqual([]);
    world.noProgram = undefined;
    // Nobody wants it any more as it turns out that none can be started.
    const late = new Forked();
    late.child.kill();
    late.process.pid = undefined;
    late.process.emit("error", Object.assign(new Error("x"), { code: "EAGAIN" }));
    expect((await late.later(RETRY_MS)).at(-1)).toBe("exit: could not be started");
    expect(late.processes).toHaveLength(1);
  });
});

describe("the end of a runner", () => {
  it("is told once its last words are read and nothing of it is left", async () => {
    let leave = (): void => undefined;
    world.noneLeft = new Promise<void>((resolve) => (leave = resolve));
    const one = await new Forked().up();
    let isGone = false;
    void one.child.exited.then(() => (isGone = true));
    one.process.emit("exit", null, "SIGSEGV");
    // It is dead to all, and what it said is still read.
    expect([await one.heard(), one.child.open]).toEqual([["looks for t.7"], false]);
    one.process.emit("message", [{ type: "begun", ids: ["a"] }]);
    expect(await one.heard()).toEqual(['messages [{"type":"begun","ids":["a"]}]']);
    one.process.connected = false;
    one.process.emit("disconnect");
    expect([await one.later(LAST_WORDS_MS), isGone]).toEqual([[], false]);
    leave();
    expect([await one.heard(), isGone]).toEqual([["exit: was ended by SIGSEGV"], true]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not wait for a channel that something holds", async () => {
    const one = await new Forked().up();
    one.process.emit("exit", 4, null);
    await one.later(LAST_WORDS_MS - 1);
    expect(await one.later(1)).toEqual(["exit: ended with status 4"]);
  });

  it.each([
    [8_000, "exit: ended itself: it heard nothing from its worker, lost"],
    [undefined, `exit: was ended by ${LEASE_SIGNAL}`],
  ])("by the signal of the lease, which is %s: %s", async (leaseMs, said) => {
    const one = await new Forked(leaseMs === undefined ? {} : { leaseMs }).up();
    one.process.ends(null, LEASE_SIGNAL);
    expect((await one.heard()).at(-1)).toBe(said);
  });

  it("follows where it lost its channel, and says so unless its own end is known", async () => {
    const one = await new Forked().up();
    one.process.disconnect();
    await one.later(LAST_WORDS_MS - 1);
    expect(await one.later(1)).toEqual(["ends all of t.7", "SIGKILL to its group"]);
    one.process.ends(null, "SIGKILL");
    expect((await one.heard()).at(-1)).toBe("exit: lost its channel to the daemon");
    const other = await new Forked().up();
    other.process.disconnect();
    other.process.ends(5);
    expect(await other.later(LAST_WORDS_MS)).toEqual([
      "disconnects",
      "looks for t.7",
      "exit: ended with status 5",
    ]);
  });

  it("by force takes what is below its steps first, and its group, or it alone", async () => {
    const one = await new Forked().up();
    world.hasGroup = false;
    one.child.kill();
    expect(await one.heard()).toEqual(["ends all of t.7", "SIGKILL to its group", "SIGKILL to it"]);
    expect(one.child.open).toBe(false);
  });

  it("that is asked for comes after what waits, and by force in two seconds", async () => {
    const one = await new Forked().up();
    one.child.send(START("a"));
    const closed = one.child.close();
    expect(one.process.batches).toHaveLength(1);
    expect(await one.later(CLOSE_MS - 1)).toEqual(["disconnects"]);
    expect(await one.later(1)).toEqual(["ends all of t.7", "SIGKILL to its group"]);
    one.process.ends(null, "SIGKILL");
    await one.heard();
    await closed;
    const quick = await new Forked().up();
    const over = quick.child.close();
    quick.process.ends(0);
    await quick.heard();
    await over;
    expect(await quick.later(CLOSE_MS)).toEqual([]);
    await quick.child.close();
  });
});
