/**
 * A runner behind a command that a test plays: what is written to it and when, whom it tells of its
 * end, and how long each silence lasts. Not one process is started.
 */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OtherRelease } from "../../src/disk/built-program.ts";
import type { PoolMessage } from "../../src/places/pool/protocol.ts";
import type { EndedRunner, StreamPlace } from "../../src/places/pool/stream-place.ts";
import { StreamRunner } from "../../src/places/pool/stream-runner.ts";
import {
  HELLO_MS,
  OVER_STATUS,
  PATIENCE_MS,
  WIRE_PROTOCOL,
  type FarSettings,
} from "../../src/places/pool/wire.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const LAST_WORDS_MS = 250;
const CLOSE_MS = 2_000;
const RETRY_MS = 1_000;
const BANNER_BYTES = 256 * 1024;
/** A number that no process has. */
const PID = 987_654_321;

const started = vi.hoisted(() => ({ next: undefined as undefined | (() => unknown) }));
vi.mock("node:child_process", async (original) => ({
  ...(await original<object>()),
  spawn: () => started.next!(),
}));

const HELLO = { type: "hello", version: "9.9.9", node: "20.1.0", platform: "linux/x64" };
const READY = { type: "ready", folder: "/far" };
const STOP: PoolMessage = { type: "stop", id: "a@1#2", mode: "force", because: "x" } as never;

class Command extends EventEmitter {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  pid: number | undefined = PID;
}

interface Given extends Partial<StreamPlace> {
  readonly alone?: boolean;
  /** Why the first command is not started. */
  readonly noStart?: Error;
}

/** A runner, and what is heard of it. */
class Far {
  readonly said: string[] = [];
  readonly clock = new VirtualClock();
  readonly written: unknown[] = [];
  readonly commands: Command[] = [];
  readonly runner: StreamRunner;
  /** Why the next command is not started. */
  noStart: Error | undefined;

  constructor({ alone = false, noStart, ...more }: Given = {}) {
    this.noStart = noStart;
    started.next = () => this.#start();
    const place: StreamPlace = {
      clock: this.clock,
      where: "on gpu1",
      command: () => ({ words: ["ssh", "gpu1"] }),
      ...more,
    };
    const settings = { threads: 4, memoryMb: 64, bundles: "/nowhere", scratch: "", token: "t" };
    this.runner = new StreamRunner(place, settings, 7, alone, {
      started: (pid) => this.said.push(`started ${pid}`),
      messages: (batch) => this.said.push(`messages ${JSON.stringify(batch)}`),
      stray: (_, lines) => this.said.push(`stray ${lines.join("|").slice(0, 60)}`),
      exit: ({ detail, outOfMemory, blameless, mayHaveBegun }) =>
        this.said.push(
          [
            `exit: ${detail}`,
            outOfMemory && "out of memory",
            blameless,
            mayHaveBegun && `begun ${["r#1", "r#9"].filter(mayHaveBegun).join(" ")}`,
          ]
            .filter(Boolean)
            .join(", "),
        ),
    });
    void this.runner.exited.then(() => this.said.push("exited"));
    vi.spyOn(process, "kill").mockImplementation((pid, signal) => {
      this.said.push(`${signal} to ${pid === -PID ? "its group" : pid}`);
      return true;
    });
  }

  #start(): ChildProcessWithoutNullStreams {
    const command = new Command();
    this.commands.push(command);
    const error = this.noStart;
    if (error !== undefined) {
      command.pid = undefined;
      process.nextTick(() => command.emit("error", error));
    }
    command.stdin.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split("\n")) this.written.push(JSON.parse(line));
    });
    command.stdin.on("close", () => this.said.push("its input is closed"));
    return command as unknown as ChildProcessWithoutNullStreams;
  }

  get command(): Command {
    return this.commands.at(-1)!;
  }

  /** The far side says these lines. */
  async says(...lines: (string | object)[]): Promise<void> {
    for (const line of lines)
      this.command.stdout.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
    await this.clock.settle();
  }

  async greets(): Promise<this> {
    await this.clock.settle();
    await this.says({ ...HELLO, protocol: WIRE_PROTOCOL }, READY);
    this.said.length = 0;
    this.written.length = 0;
    return this;
  }

  /** The command ends, and closes its output. */
  async ends(status: number | null, signal: NodeJS.Signals | null = null): Promise<void> {
    this.command.emit("exit", status, signal);
    this.command.emit("close");
    await this.clock.settle();
  }

  /** Real milliseconds go by. */
  async later(milliseconds: number): Promise<string[]> {
    vi.advanceTimersByTime(milliseconds);
    return this.heard();
  }

  async heard(): Promise<string[]> {
    await this.clock.settle();
    return this.said.splice(0);
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a runner that begins", () => {
  const settings = async (given: Given): Promise<FarSettings> => {
    const far = new Far({ folder: ".orchd", workdir: "/w", claims: (n) => `/c/${n}`, ...given });
    expect(await far.heard()).toEqual([`started ${PID}`]);
    expect(far.written).toHaveLength(1);
    return far.written[0] as FarSettings;
  };

  it("is told its settings in the first line, and nothing else", async () => {
    const shared = {
      protocol: WIRE_PROTOCOL,
      threads: 4,
      memoryMb: 64,
      token: "t.7",
      folder: ".orchd",
      workdir: "/w",
      claims: "/c/7",
    };
    expect(await settings({})).toEqual(shared);
    const { claims, ...own } = shared;
    expect([await settings({ alone: true }), claims]).toEqual([{ ...own, threads: 1 }, "/c/7"]);
  });

  it("is given what waits once it is ready, and not before", async () => {
    const far = new Far();
    far.runner.send(STOP);
    await far.clock.settle();
    await far.says({ ...HELLO, protocol: WIRE_PROTOCOL });
    expect(far.written).toHaveLength(1);
    await far.says(READY);
    expect(far.written.slice(1)).toEqual([[STOP]]);
    // What was told of the frames of ended runs stands last.
    far.runner.send({ type: "frame", frame: 1, head: {}, text: "{}" } as never);
    vi.spyOn(far.runner.frames, "takeForgotten").mockReturnValue([1]);
    await far.clock.settle();
    expect((far.written.at(-1) as PoolMessage[]).map(({ type }) => type)).toEqual([
      "frame",
      "forget",
    ]);
  });

  it("waits for a process, and for another release, and is told to stop meanwhile", async () => {
    let isOther = true;
    const command: StreamPlace["command"] = () => {
      if (isOther) throw new OtherRelease("another one");
      return { words: ["ssh", "gpu1"] };
    };
    const far = new Far({ command });
    expect([await far.later(RETRY_MS), far.commands.length, far.runner.pid]).toEqual([
      [],
      0,
      undefined,
    ]);
    isOther = false;
    far.noStart = Object.assign(new Error("no process"), { code: "EAGAIN" });
    expect([await far.later(RETRY_MS), far.commands.length]).toEqual([[], 1]);
    far.noStart = undefined;
    expect([await far.later(RETRY_MS), far.runner.pid]).toEqual([[`started ${PID}`], PID]);
    isOther = true;
    const none = new Far({ command });
    none.runner.kill();
    expect(await none.heard()).toEqual(["exit: was not started, unbegun", "exited"]);
    expect([await none.later(10 * RETRY_MS), none.runner.open]).toEqual([[], false]);
  });

  it("says why there is no command, and blames nobody", async () => {
    const noStart = Object.assign(new Error("spawn ssh ENOENT"), { code: "ENOENT" });
    expect(await new Far({ noStart }).heard()).toEqual([
      "exit: on gpu1 could not be started: spawn ssh ENOENT, unbegun",
      "exited",
    ]);
    const far = await new Far().greets();
    // Of one that was started its end says more.
    far.command.emit("error", new Error("write EPIPE"));
    expect(await far.heard()).toEqual([]);
  });
});

describe("a silence", () => {
  it("before it is ready lasts a minute", async () => {
    const far = new Far();
    await far.heard();
    await far.says({ ...HELLO, protocol: WIRE_PROTOCOL });
    await far.clock.advance(HELLO_MS - 1);
    expect(await far.later(LAST_WORDS_MS)).toEqual([]);
    await far.clock.advance(1);
    expect(await far.later(LAST_WORDS_MS - 1)).toEqual([]);
    expect((await far.later(1)).slice(0, 2)).toEqual([
      "SIGKILL to its group",
      "exit: on gpu1 was not heard for 60 s, unbegun",
    ]);
  });

  it.each([
    [false, ", lost"],
    [true, ""],
  ])("of one that was ready lasts 15 s after its last beat (here: %s)", async (isLocal, blame) => {
    const far = await new Far({ isLocal }).greets();
    await far.clock.advance(PATIENCE_MS - 1);
    await far.says({ type: "beat", number: 3 });
    expect(far.written).toEqual([{ type: "beat", number: 3 }]);
    await far.clock.advance(PATIENCE_MS - 1);
    expect(await far.later(LAST_WORDS_MS)).toEqual([]);
    await far.clock.advance(1);
    expect((await far.later(LAST_WORDS_MS))[1]).toBe(
      `exit: on gpu1 was not heard for 15 s${blame}`,
    );
    // Nothing is said twice.
    await far.ends(null, "SIGKILL");
    await far.clock.advance(10 * PATIENCE_MS);
    expect((await far.later(CLOSE_MS)).filter((text) => text.startsWith("exit:"))).toEqual([]);
    expect(far.clock.timers).toBe(0);
  });

  it("is asked about: only a later beat is a sign of life", async () => {
    const far = new Far();
    expect(far.runner.lives).toBe(false);
    await far.greets();
    await far.clock.advance(10);
    far.runner.ask();
    await far.clock.settle();
    expect([far.runner.lives, far.written]).toEqual([false, [[]]]);
    await far.clock.advance(10);
    await far.says({ type: "beat", number: 1 });
    expect(far.runner.lives).toBe(true);
    far.runner.ask();
    expect(far.runner.lives).toBe(false);
  });
});

describe("a runner that is told to end", () => {
  it("gets what waits first, and has two seconds", async () => {
    const far = await new Far().greets();
    far.runner.send(STOP);
    const closed = far.runner.close();
    expect([await far.heard(), far.written]).toEqual([["its input is closed"], [[STOP]]]);
    expect([far.runner.open, await far.later(CLOSE_MS - 1)]).toEqual([false, []]);
    await far.later(1);
    expect(await far.later(CLOSE_MS)).toEqual(["SIGKILL to its group"]);
    await far.ends(OVER_STATUS);
    await closed;
    expect(await far.heard()).toEqual(["exit: on gpu1 ended with status 86", "exited"]);
  });

  it("by force is ended at once before its hello, and after that in two seconds", async () => {
    const young = new Far();
    await young.heard();
    young.runner.kill();
    expect((await young.later(0))[0]).toBe("SIGKILL to its group");
    const far = await new Far().greets();
    far.runner.kill();
    expect(await far.later(CLOSE_MS - 1)).toEqual(["its input is closed"]);
    expect(await far.later(1)).toEqual(["SIGKILL to its group"]);
    // One that has ended meanwhile has no group any more.
    const quick = await new Far().greets();
    quick.runner.kill();
    await quick.ends(OVER_STATUS);
    await quick.heard();
    expect(await quick.later(CLOSE_MS)).toEqual([]);
  });
});

describe("the end of a command", () => {
  const kinds = (said: string[]): string[] => said.filter((text) => text.startsWith("exit"));

  it("before it was ready is nobody's fault, with what it said last", async () => {
    const far = new Far();
    await far.heard();
    await far.says("welcome");
    far.command.stderr.write("one\nssh: no route");
    await far.ends(255);
    expect((await far.heard()).slice(0, 4)).toEqual([
      "stray welcome",
      "stray one",
      "stray ssh: no route",
      "exit: on gpu1 ended with status 255: ssh: no route, unbegun",
    ]);
    expect(far.clock.timers).toBe(0);
  });

  it("is told in the place's own words, where it has some", async () => {
    const ends: unknown[] = [];
    const explain: StreamPlace["explain"] = (end) => (ends.push(end), "was thrown out");
    const far = await new Far({ explain, isLocal: true, end: () => Promise.resolve({}) }).greets();
    far.command.stderr.write("why");
    await far.ends(9);
    expect(kinds(await far.heard())).toEqual(["exit: on gpu1 was thrown out", "exited"]);
    expect(ends).toEqual([{ status: 9, signal: null, said: "why" }]);
  });

  it("whose output something holds is heard in a moment", async () => {
    const far = await new Far().greets();
    far.command.emit("exit", OVER_STATUS, null);
    expect(await far.later(LAST_WORDS_MS - 1)).toEqual([]);
    expect(kinds(await far.later(1))).toEqual(["exit: on gpu1 ended with status 86", "exited"]);
  });

  it.each([
    ["said so", { type: "over", detail: "was ended by SIGSEGV", outOfMemory: true }, 1],
    ["has the status for it", "", OVER_STATUS],
  ])("is the end of all where the other side %s", async (_, line, status) => {
    const end = vi.fn<() => Promise<undefined>>(() => Promise.resolve(undefined));
    const far = await new Far({ end }).greets();
    await far.says(line);
    await far.ends(status);
    const said =
      status === 1 ? "was ended by SIGSEGV, out of memory" : "on gpu1 ended with status 86";
    expect([kinds(await far.heard()), end.mock.calls]).toEqual([[`exit: ${said}`, "exited"], []]);
  });

  it.each([
    ["knows", {}, ""],
    [
      "knows with its claims",
      { claims: { runner: "x", runs: { r: { from: 5, begun: [9] } } } },
      ", begun r#1 r#9",
    ],
  ] as [string, EndedRunner, string][])(
    "in silence is over at once where the place %s",
    async (_, ended, claims) => {
      const end = vi.fn<() => Promise<EndedRunner>>(() => Promise.resolve(ended));
      const far = await new Far({ end }).greets();
      await far.ends(255);
      expect(kinds(await far.heard())).toEqual([
        `exit: on gpu1 ended with status 255, lost${claims}`,
        "exited",
      ]);
      expect(end.mock.calls).toEqual([["t.7", 7]]);
      expect(far.clock.timers).toBe(0);
    },
  );

  it.each([
    ["does not know", () => Promise.resolve(undefined)],
    ["cannot ask", () => Promise.reject(new Error("no"))],
    ["cannot look", undefined],
  ])("in silence is over with the lease where the place %s", async (_, end) => {
    const far = await new Far(end === undefined ? {} : { end }).greets();
    await far.clock.advance(4_000);
    await far.says({ type: "beat", number: 1 });
    await far.clock.advance(1_000);
    await far.ends(null, "SIGKILL");
    await far.clock.advance(PATIENCE_MS - 1_000 - 1);
    expect([kinds(await far.heard()), far.runner.open]).toEqual([[], false]);
    await far.clock.advance(1);
    expect(kinds(await far.heard())).toEqual([
      "exit: on gpu1 was ended by SIGKILL, lost",
      "exited",
    ]);
  });

  it("after the runner had lost its lease is nobody's fault, whatever follows", async () => {
    const far = await new Far({ isLocal: true }).greets();
    const over = { type: "over", outOfMemory: false };
    await far.says({ ...over, detail: "had no \u0007lease", isLost: true });
    await far.says({ ...over, detail: "was ended by SIGUSR2" });
    await far.ends(OVER_STATUS);
    expect(kinds(await far.heard())).toEqual(["exit: on gpu1 had no lease, lost", "exited"]);
  });
});

describe("a far side that breaks a rule", () => {
  it("in the middle of a line may still say how it died", async () => {
    const far = await new Far().greets();
    await far.says('{"type":"be', { type: "over", detail: "died", outOfMemory: false });
    expect(await far.later(LAST_WORDS_MS)).toEqual([]);
    await far.ends(OVER_STATUS);
    expect((await far.heard())[0]).toBe("exit: died");
    const other = await new Far().greets();
    await other.says("x".repeat(300));
    expect(await other.later(LAST_WORDS_MS - 1)).toEqual([]);
    expect(await other.later(1)).toEqual(["its input is closed"]);
    await other.ends(OVER_STATUS);
    expect((await other.heard())[0]).toBe(
      `exit: on gpu1 sent what is no message: ${"x".repeat(200)}`,
    );
  });

  it("is quoted without secrets, also where the quotation would cut one in two", async () => {
    const far = await new Far().greets();
    far.runner.secrets.add("hunter2-and-more");
    await far.says(`${"x".repeat(190)}hunter2-and-more`);
    await far.later(LAST_WORDS_MS);
    await far.ends(OVER_STATUS);
    expect((await far.heard()).join()).toContain(`no message: ${"x".repeat(190)}***`);
  });

  it("is heard no more, and gets nothing: no task, and no lease", async () => {
    const young = new Far();
    await young.heard();
    await young.says({ ...HELLO, protocol: WIRE_PROTOCOL + 1 }, READY);
    young.runner.send(STOP);
    await young.says({ type: "beat", number: 1 });
    expect([young.written.length, young.runner.lives]).toEqual([1, false]);
    await young.ends(1);
    const said = (await young.heard()).find((text) => text.startsWith("exit:"));
    expect(said).toMatch(/^exit: on gpu1 speaks protocol .*, unbegun$/);
    const far = await new Far().greets();
    await far.says("what is this");
    await far.later(LAST_WORDS_MS);
    await far.clock.advance(10);
    far.runner.ask();
    await far.clock.advance(10);
    await far.says({ type: "beat", number: 1 }, [{ type: "begun", ids: ["a"] }]);
    expect([far.written, far.runner.lives, await far.heard()]).toEqual([[], false, []]);
  });

  it("may say much before its hello, and not more", async () => {
    const far = new Far();
    await far.heard();
    await far.says("x".repeat(BANNER_BYTES - 1));
    expect((await far.heard()).filter((text) => text.startsWith("its"))).toEqual([]);
    await far.says("");
    expect((await far.heard()).filter((text) => text.startsWith("its"))).toEqual([
      "its input is closed",
    ]);
    await far.ends(1);
    expect((await far.heard()).find((text) => text.startsWith("exit:"))).toBe(
      "exit: on gpu1 says much, and not that it is one of orchd, unbegun",
    );
  });

  it("closes its output, and its end does not follow", async () => {
    const far = await new Far().greets();
    far.command.stdout.end();
    await far.heard();
    expect(await far.later(LAST_WORDS_MS)).toEqual(["its input is closed"]);
    await far.ends(3);
    await far.clock.advance(PATIENCE_MS);
    expect((await far.heard())[0]).toBe("exit: on gpu1 closed its output, lost");
  });

  it("is told by what it did first, however it ends after that", async () => {
    const condemned = async (...given: string[]): Promise<Far> => {
      const far = new Far();
      await far.heard();
      await far.says(...given, "x".repeat(BANNER_BYTES));
      return far;
    };
    const first = "exit: on gpu1 says much, and not that it is one of orchd, unbegun";
    const exits = async (far: Far): Promise<string[]> =>
      (await far.heard()).filter((text) => text.startsWith("exit:"));
    // It goes on, and is silent.
    const silent = await condemned();
    await silent.clock.advance(HELLO_MS);
    vi.advanceTimersByTime(LAST_WORDS_MS);
    expect(await exits(silent)).toEqual([first]);
    // Its output is closed, as the end of its input has it do.
    const closed = await condemned();
    closed.command.stdout.end();
    await closed.clock.settle();
    vi.advanceTimersByTime(LAST_WORDS_MS);
    await closed.ends(1);
    expect(await exits(closed)).toEqual([first]);
  });
});

it("a runner that waits for its command is closed at once, and starts none later", async () => {
  const command: StreamPlace["command"] = () => {
    throw new OtherRelease("another one");
  };
  const far = new Far({ command });
  const closed = far.runner.close();
  expect(await far.heard()).toEqual(["exit: was not started, unbegun", "exited"]);
  await closed;
  expect([await far.later(10 * RETRY_MS), far.commands.length]).toEqual([[], 0]);
});

it("a runner that ends without a word may run on for 15 s from when it was ready", async () => {
  const far = new Far();
  await far.heard();
  await far.clock.advance(30_000);
  await far.says({ ...HELLO, protocol: WIRE_PROTOCOL }, READY);
  await far.clock.advance(1_000);
  await far.ends(1);
  await far.clock.advance(PATIENCE_MS - 1_001);
  const exits = async (): Promise<string[]> =>
    (await far.heard()).filter((text) => text.startsWith("exit:"));
  expect(await exits()).toEqual([]);
  await far.clock.advance(1);
  expect(await exits()).toEqual(["exit: on gpu1 ended with status 1, lost"]);
});
