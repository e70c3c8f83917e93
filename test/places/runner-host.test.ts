/**
 * The main thread of a runner beside threads, shells and a spawner that a test plays: which piece
 * goes where, how each is told to end, and in which words its end is told.
 */
import { availableParallelism } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FromRunner, TaskHead, ToRunner } from "../../src/places/pool/protocol.ts";
import { RunnerHost } from "../../src/places/runner/runner-host.ts";
import { tempRoot } from "../support/temp-root.ts";

/** What is played says in `said` what it is asked for. */
const world = vi.hoisted(() => {
  const said: string[] = [];
  const say = (...words: readonly unknown[]): void => void said.push(words.join(" "));
  /** Whether threads end in time. */
  const state = { endsInTime: true };
  interface Listener {
    message(thread: PlayedThread, message: object): void;
    gone(thread: PlayedThread, error: Error | undefined, exitCode: number): void;
  }
  const threads: PlayedThread[] = [];
  class PlayedThread {
    ready = true;
    isFull = false;
    busyMs = 0;
    bound: boolean;
    readonly reused: boolean;
    readonly memoryMb: number | undefined;
    given: { seq: number; id: string }[] = [];
    #seq = 0;
    readonly name: string;
    readonly #listener: Listener;
    constructor(own: { reused: boolean; memoryMb?: number }, listener: Listener) {
      this.reused = own.reused;
      this.bound = !own.reused;
      this.memoryMb = own.memoryMb;
      this.#listener = listener;
      this.name = `t${threads.push(this)}`;
      say("new", this.name, own.reused ? "shared" : "single", own.memoryMb ?? "");
    }
    get current(): string | undefined {
      return this.given[0]?.id;
    }
    suits = (): boolean => true;
    knows = (): boolean => true;
    has = (): boolean => true;
    takeEnd = (): undefined => undefined;
    seqOf = (id: string): number | undefined => this.given.find((one) => one.id === id)?.seq;
    idOf = (seq: number): string | undefined => this.given.find((one) => one.seq === seq)?.id;
    answered(seq: number): void {
      this.given = this.given.filter((one) => one.seq !== seq);
    }
    takeBack(id: string): boolean {
      const at = this.given.findIndex((one) => one.id === id);
      if (at <= 0) return false;
      this.given.splice(at, 1);
      return true;
    }
    run({ id }: { id: string }): void {
      this.given.push({ seq: (this.#seq += 1), id });
      say(this.name, "runs", id);
    }
    post({ type, reason, call }: { type: string; reason?: string; call?: number }): void {
      say(this.name, "gets", type, reason ?? call ?? "");
    }
    heard(): void {
      say(this.name, "was heard");
    }
    end(ms: number): Promise<boolean> {
      say("end", this.name, ms);
      return Promise.resolve(state.endsInTime);
    }
    tells(message: object): void {
      this.#listener.message(this, message);
    }
    gone(error?: Error, exitCode = 1): void {
      this.#listener.gone(this, error, exitCode);
    }
  }
  interface ShellHost {
    ended(result: object, durationMs: number, startedAt: number): void;
  }
  const shells = new Map<string, PlayedShell>();
  class PlayedShell {
    readonly #id: string;
    readonly host: ShellHost;
    constructor(id: string, _task: object, host: ShellHost) {
      this.#id = id;
      this.host = host;
      shells.set(id, this);
    }
    start = (): void => say("shell", this.#id);
    signal = (signal: string): void => say(signal, this.#id);
    kill = (): void => say("kill", this.#id);
    read = (): void => undefined;
    abandon = (): void => say("abandon", this.#id);
  }
  const spawner = { died: (_because: string, _lost: ReadonlySet<unknown>): void => undefined };
  class PlayedSpawner {
    readonly spares: readonly number[] = [];
    constructor(_token: string, died: typeof spawner.died) {
      spawner.died = died;
    }
    read = (): void => undefined;
  }
  class PlayedGuard {
    ready = Promise.resolve();
  }
  return {
    said,
    say,
    state,
    threads,
    PlayedThread,
    shells,
    PlayedShell,
    spawner,
    PlayedSpawner,
    PlayedGuard,
  };
});

vi.mock("../../src/places/runner/worker-thread.ts", () => ({ WorkerThread: world.PlayedThread }));
vi.mock("../../src/places/runner/shell-step.ts", () => ({ ShellStep: world.PlayedShell }));
vi.mock("../../src/places/runner/spawner.ts", () => ({ Spawner: world.PlayedSpawner }));
vi.mock("../../src/places/runner/guard.ts", () => ({ Guard: world.PlayedGuard }));
vi.mock("../../src/places/pool/kill-by-token.ts", () => ({
  killByToken: (token: string) => world.say("kill by", token),
}));

const { said, threads, shells } = world;
const CORES = availableParallelism();

let host: RunnerHost;
let told: FromRunner[];
beforeEach(() => {
  vi.useFakeTimers();
  for (const list of [said, threads]) list.length = 0;
  shells.clear();
  world.state.endsInTime = true;
  told = [];
  const { root } = tempRoot();
  const settings = { threads: 2, bundles: root, scratch: root, token: "token" };
  host = new RunnerHost(settings, new URL("file:///none"), (batch) => void told.push(...batch));
});
afterEach(() => void vi.useRealTimers());

function give(id: string, more: Partial<TaskHead> = {}): void {
  const head: TaskHead = {
    kind: "module",
    run: "r",
    pipeline: "p",
    step: id,
    attempt: 1,
    source: "a.ts",
    bundle: "b",
    isolated: false,
    gracePeriodMs: 10_000,
    ...more,
  };
  host.receive([{ type: "start", id, head, body: "{}" } as unknown as ToRunner]);
}

/** A step in a shared thread that runs. */
function runs(id: string, more: Partial<TaskHead> = {}): (typeof threads)[number] {
  give(id, more);
  threads.at(-1)!.tells({ type: "ready" });
  said.length = 0;
  return threads.find(({ current }) => current === id)!;
}

const stop = (id: string, mode: "graceful" | "force", because = "told"): void =>
  host.receive([{ type: "stop", id, mode, because }]);
const ended = (more: object = { json: "1" }) => ({
  type: "done",
  seq: 1,
  startedAt: 5,
  durationMs: 1.23456,
  spawned: false,
  ...more,
});

/** Time passes. @returns what was asked for meanwhile */
async function after(ms: number): Promise<string[]> {
  await vi.advanceTimersByTimeAsync(ms);
  return said.splice(0);
}

/** What the daemon was told. */
async function hears(): Promise<object[]> {
  await vi.advanceTimersByTimeAsync(2);
  return told.splice(0).map((message) => {
    const { type, result, ...rest } = message as unknown as Record<string, unknown>;
    const { id, startedAt: _at, ...more } = rest;
    const { ok, json, outcome, error } = (result ?? {}) as Record<string, unknown>;
    const why = (error as { message: string } | undefined)?.message;
    const how = result === undefined ? {} : ok === true ? { ok: json } : { [String(outcome)]: why };
    return { [String(type)]: id, ...how, ...more };
  });
}

const done = (id: string, how: object, durationMs = 0): object => ({
  done: id,
  ...how,
  durationMs,
});
const LATE = (id: string, limit: string): string =>
  `step "${id}" was not done within its time limit of ${limit}: ` +
  "raise it (timeout), or find what holds it up";

describe("a step", () => {
  it("ends with what its thread answers, and its time in thousandths", async () => {
    const thread = runs("a");
    thread.tells(ended());
    expect(await hears()).toEqual([done("a", { ok: "1" }, 1.235)]);
    thread.tells(ended());
    expect(await hears()).toEqual([]);
    expect(thread.reused).toBe(true);
  });

  it("that failed without a word says so", async () => {
    runs("a").tells(ended({ json: undefined }));
    const failed = "the step failed and gave no reason";
    expect(await hears()).toEqual([done("a", { failed }, 1.235)]);
  });

  it("has a thread of its own where it is isolated, limited or long", async () => {
    give("iso", { isolated: true });
    give("mem", { memoryMb: 64 });
    for (const kind of ["dynamic", "flavor", "load"] as const) give(kind, { kind });
    expect(said.filter((word) => word.startsWith("new"))).toEqual([
      "new t1 single ",
      "new t2 single 64",
      "new t3 single ",
      "new t4 single ",
      "new t5 single ",
    ]);
    said.length = 0;
    threads[0]!.tells(ended());
    expect(said).toEqual(["end t1 500"]);
  });

  it("that is isolated has a spare one made a core, once nothing runs", async () => {
    give("iso", { isolated: true });
    give("b", { isolated: true });
    said.length = 0;
    threads[0]!.tells(ended());
    expect(said).toEqual(["end t1 500"]);
    threads[1]!.tells(ended());
    expect(said.filter((word) => word.startsWith("new")).length).toBe(CORES);
    said.length = 0;
    // A spare has no limit.
    give("mem", { memoryMb: 64 });
    expect(said[0]).toMatch(/^new t\d+ single 64$/);
    said.length = 0;
    give("next", { isolated: true });
    expect(said).toEqual(["t3 runs next"]);
  });

  it("prints and asks through its thread, and is answered there, while it runs", async () => {
    const thread = runs("a");
    const output = { type: "output", seq: 1, at: "now", stream: "stdout", lines: ["x"] };
    thread.tells(output);
    thread.tells({ type: "call", seq: 1, call: 3, method: "m", argument: 1, length: 1 });
    expect(await hears()).toEqual([
      { output: "a", at: "now", stream: "stdout", lines: ["x"] },
      { call: 3, method: "m", argument: 1 },
    ]);
    expect(said).toEqual(["t1 was heard"]);
    host.receive([{ type: "reply", id: "a", call: 3, value: 1 } as unknown as ToRunner]);
    expect(said.splice(0)).toEqual(["t1 was heard", "t1 gets reply 3"]);
    thread.tells(ended());
    host.receive([{ type: "reply", id: "a", call: 4, value: 1 } as unknown as ToRunner]);
    thread.tells(output);
    expect(said).toEqual(["t1 was heard"]);
    expect(await hears()).toEqual([done("a", { ok: "1" }, 1.235)]);
  });

  it("that started processes ends with them, or with a spoiled thread", async () => {
    const thread = runs("a");
    thread.tells(ended({ spawned: true, retire: "it did" }));
    expect(said).toEqual(["kill by token/a", "end t1 500"]);
    runs("b");
    threads.at(-1)!.tells(ended({ retire: "it did", pending: true }));
    expect(await after(999)).toEqual([]);
    expect(await after(1)).toEqual([`end ${threads.at(-1)!.name} 500`]);
    const bound = runs("c");
    bound.tells(ended({ bound: true }));
    expect([bound.bound, said.splice(0)]).toEqual([true, []]);
    bound.tells({ type: "spoiled" });
    expect(said).toEqual([`end ${bound.name} 500`]);
  });
});

describe("a time limit", () => {
  it("tells the step, and what it answers after that is too late", async () => {
    const thread = runs("a", { timeoutMs: 5_000 });
    expect(await after(4_999)).toEqual([]);
    expect(await after(1)).toEqual(["t1 gets abort timeout"]);
    thread.tells({ type: "heard", seq: 1 });
    thread.tells(ended());
    expect(await hears()).toEqual([done("a", { timeout: LATE("a", "5s") }, 1.235)]);
    expect(await after(60_000)).toEqual([]);
  });

  it("ends a step that heard it after its grace period, a deaf one at once", async () => {
    const hearing = runs("a", { timeoutMs: 5_000 });
    await after(5_000);
    hearing.tells({ type: "heard", seq: 1 });
    expect(await after(9_999)).toEqual([]);
    expect(await after(1)).toEqual(["kill by token/a", "end t1 500"]);
    hearing.gone(undefined, 1);
    expect(await hears()).toEqual([done("a", { timeout: LATE("a", "5s") })]);
    runs("b", { timeoutMs: 5_000 });
    await after(5_000);
    expect(await after(749)).toEqual([]);
    expect((await after(1))[0]).toBe("kill by token/b");
  });

  it("stands where a stop comes after it, and a stop where it comes later", async () => {
    const thread = runs("a", { timeoutMs: 5_000 });
    await after(5_000);
    stop("a", "force");
    thread.tells(ended({ json: undefined }));
    expect(await hears()).toEqual([done("a", { timeout: LATE("a", "5s") }, 1.235)]);
    const other = runs("b", { timeoutMs: 5_000 });
    stop("b", "graceful", "enough");
    said.length = 0;
    // The limit ends it by force, for the reason that it was told.
    await after(5_750);
    expect(said.concat(await after(0))).toEqual([]);
    other.gone(undefined, 1);
    expect(await hears()).toEqual([done("b", { stopped: "enough" })]);
  });

  it("may be longer than a timer of Node, and so may a grace period", async () => {
    const month = 30 * 86_400_000;
    const thread = runs("a", { timeoutMs: month, gracePeriodMs: month });
    expect(await after(60_000)).toEqual([]);
    stop("a", "force");
    thread.tells({ type: "heard", seq: 1 });
    expect(await after(60_000)).toEqual(["t1 gets abort stop"]);
  });

  it("of a step that ended in time is over", async () => {
    runs("a", { timeoutMs: 5_000 }).tells(ended());
    expect(await after(60_000)).toEqual([]);
  });
});

describe("a stop", () => {
  it("is told once, and what the step then does counts: done is done", async () => {
    const thread = runs("a");
    stop("a", "graceful");
    stop("a", "graceful");
    expect(said.splice(0)).toEqual(["t1 gets abort stop"]);
    expect(await after(600_000)).toEqual([]);
    thread.tells(ended());
    expect(await hears()).toEqual([done("a", { ok: "1" }, 1.235)]);
    const other = runs("b");
    stop("b", "graceful", "enough");
    other.tells(ended({ seq: 2, json: undefined }));
    expect(await hears()).toEqual([done("b", { stopped: "enough" }, 1.235)]);
  });

  it("by force ends it after its grace period, for the reason that was told first", async () => {
    const thread = runs("a", { gracePeriodMs: 3_000 });
    stop("a", "graceful", "first");
    thread.tells({ type: "heard", seq: 1 });
    said.length = 0;
    stop("a", "force", "second");
    expect(await after(2_999)).toEqual([]);
    expect(await after(1)).toEqual(["kill by token/a", "end t1 500"]);
    thread.gone(undefined, 1);
    expect(await hears()).toEqual([done("a", { stopped: "first" })]);
  });

  it("of what waits is its end at once: nothing of it begins", async () => {
    for (const id of ["x", "y", "z"]) give(id, { kind: "shell" });
    expect(said.splice(0)).toEqual(["shell x", "shell y"]);
    stop("z", "graceful", "enough");
    expect(await hears()).toEqual([done("z", { stopped: "enough" })]);
    stop("none", "force");
    shells.get("x")!.host.ended({ ok: true, json: "1" }, 3, 5);
    expect(said).toEqual([]);
  });

  it("whose thread does not end gives the runner up, with what waits", async () => {
    world.state.endsInTime = false;
    runs("a");
    for (const id of ["x", "y", "z"]) give(id, { kind: "shell" });
    stop("a", "force", "enough");
    await after(750);
    expect(await hears()).toEqual([
      { stuck: "a", stopped: "enough", durationMs: 0, unstarted: ["z"] },
    ]);
    threads[0]!.gone(undefined, 1);
    expect(await hears()).toEqual([]);
  });

  it("of a shell is its signals, and its own end", async () => {
    give("x", { kind: "shell", gracePeriodMs: 3_000 });
    said.length = 0;
    stop("x", "graceful", "enough");
    expect(said.splice(0)).toEqual(["SIGTERM x"]);
    expect(await after(60_000)).toEqual([]);
    stop("x", "force", "now");
    expect(await after(3_000)).toEqual(["kill x"]);
    shells
      .get("x")!
      .host.ended({ ok: false, outcome: "failed", error: { message: "killed" } }, 1, 5);
    expect(await hears()).toEqual([done("x", { stopped: "enough" }, 1)]);
  });

  it("by its time limit is one too, whatever the shell makes of it", async () => {
    give("x", { kind: "shell", timeoutMs: 5_000 });
    said.length = 0;
    expect(await after(5_000)).toEqual(["SIGTERM x"]);
    shells.get("x")!.host.ended({ ok: true, json: "1" }, 5_001, 5);
    expect(await hears()).toEqual([done("x", { timeout: LATE("x", "5s") }, 5_001)]);
  });
});

describe("a thread that is gone", () => {
  it("fails the step that it was at, and ends what that started", async () => {
    runs("a").gone(Object.assign(new Error("boom"), { name: "TypeError" }), 1);
    expect(said[0]).toBe("kill by token/a");
    expect(await hears()).toEqual([done("a", { failed: "boom" })]);
    runs("b").gone(undefined, 7);
    const failed = 'step "b" ended its own thread (process.exit(7)): return or throw instead';
    expect(await hears()).toEqual([done("b", { failed })]);
  });

  it("and was at nothing fails nobody", async () => {
    const thread = runs("a");
    thread.tells(ended());
    await hears();
    thread.gone(new Error("boom"), 1);
    expect(await hears()).toEqual([]);
  });
});

describe("shells", () => {
  it("run as many at once as there may be threads, in order", () => {
    for (const id of ["w", "x", "y", "z"]) give(id, { kind: "shell" });
    expect(said.splice(0)).toEqual(["shell w", "shell x"]);
    shells.get("x")!.host.ended({ ok: true, json: "1" }, 1, 5);
    expect(said.splice(0)).toEqual(["shell y"]);
  });

  it("whose spawner died start elsewhere, but for those that were told to end", async () => {
    for (const id of ["x", "y"]) give(id, { kind: "shell" });
    stop("x", "graceful", "enough");
    said.length = 0;
    const lost = new Set<never>([...shells.values()] as never[]);
    world.spawner.died("the spawner died", lost);
    expect(said.splice(0)).toEqual(["abandon x", "abandon y"]);
    expect(await hears()).toEqual([
      done("x", { stopped: "enough" }),
      { aside: "y", beside: ["x"], because: "the spawner died", code: "ORCHD_RUNNER_DIED" },
    ]);
    // Their room is free again.
    for (const id of ["v", "w"]) give(id, { kind: "shell" });
    expect(said).toEqual(["shell v", "shell w"]);
  });

  it.each([
    [999, ["y", "x"]],
    [1_000, ["y"]],
  ])("may have been ended by one that ended %d ms before", async (ms, suspects) => {
    for (const id of ["x", "y", "z"]) give(id, { kind: "shell" });
    shells.get("x")!.host.ended({ ok: true, json: "1" }, 1, 5);
    await after(ms);
    told.length = 0;
    const of = ["y", "z"].map((id) => shells.get(id)! as never);
    world.spawner.died("the spawner died", new Set<never>(of));
    const [y, z] = (await hears()) as { beside: string[] }[];
    expect(z!.beside).toEqual(suspects);
    expect(y!.beside).toEqual(["z", ...suspects.slice(1)]);
  });
});

describe("the end of a runner", () => {
  it("ends all that carries its token, then the groups of its shells", () => {
    runs("a");
    give("x", { kind: "shell" });
    said.length = 0;
    host.end();
    expect(said).toEqual(["kill by token", "SIGKILL x"]);
  });
});
