/** An attempt that begins in a container here, under an engine that a test plays, to each end. */
import { EventEmitter } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import { TOKEN_VARIABLE, type ShellTask, type TaskResult } from "../../../src/core/task.ts";
import { ContainerAttempt } from "../../../src/places/container/container-attempt.ts";
import {
  ContainersFolder,
  type ContainerFiles,
} from "../../../src/places/container/container-files.ts";
import {
  EngineError,
  type ContainerState,
  type Engine,
  type EngineCommand,
} from "../../../src/places/container/engine.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A command of the engine, until the test ends it. */
class PlayedCommand extends EventEmitter {
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly words: readonly string[];
  readonly how: EngineCommand;
  readonly signals: string[] = [];

  constructor(words: readonly string[], how: EngineCommand) {
    super();
    this.words = words;
    this.how = how;
  }

  kill(signal: string): void {
    this.signals.push(signal);
    this.emit("close", null);
  }
}

const ID = "0123456789abcdef".repeat(4);
const TASK = {
  kind: "shell",
  text: "true",
  shell: ["/bin/sh"],
  cwd: "",
  step: "a",
  run: { id: "p@1", pipeline: "p", attempt: 1 },
  params: {},
  inputs: {},
  env: {},
  secrets: ["hunter2x"],
  timeoutMs: 10_000,
  gracePeriodMs: 3_000,
} as unknown as ShellTask;
const RUNS: ContainerState = {
  name: "c",
  labels: {},
  running: true,
  paused: false,
  startedAt: "2026-11-23T02:00:00.000Z",
  exitCode: 0,
  outOfMemory: false,
  monitor: process.pid,
};
const ended = (exitCode: number, more: object = {}): ContainerState => ({
  ...RUNS,
  running: false,
  exitCode,
  ...more,
});

let rigs = 0;

function rig(
  container: Partial<ImageContainer> = {},
  name: "podman" | "docker" = "podman",
  ready: () => Promise<void> = () => Promise.resolve(),
) {
  const clock = new VirtualClock();
  const commands: PlayedCommand[] = [];
  const asked: string[] = [];
  const world = {
    state: undefined as ContainerState | undefined,
    image: true,
    platform: "linux/amd64",
    started: (): void => undefined,
    /** How often it does not answer before it does. */
    away: 0,
  };
  const engine = {
    name,
    version: "1",
    id: "/storage",
    env: {},
    start(words: readonly string[], how: EngineCommand) {
      const command = new PlayedCommand(words, how);
      commands.push(command);
      world.started();
      return Promise.resolve(command);
    },
    ask(words: readonly string[]) {
      if (words[0] === "wait") return new Promise(() => undefined);
      asked.push(`${clock.monotonic()} ${words.slice(0, 2).join(" ")}`);
      const isImage = words[0] === "image";
      const status = isImage && !world.image ? 1 : 0;
      const stdout = isImage && world.image ? `sha256:${ID} ${world.platform}\n` : "";
      return Promise.resolve({ status, stdout, stderr: "" });
    },
    inspect() {
      if ((world.away -= 1) >= 0) return Promise.reject(new EngineError("it does not answer"));
      return Promise.resolve(world.state === undefined ? [] : [world.state]);
    },
    remove: () => Promise.resolve(undefined),
  } as unknown as Engine;
  const id = `turns${process.pid}-${(rigs += 1)}`;
  const folder = new ContainersFolder(join(tempRoot().root, "containers"), id);
  // Those of a step with secrets are in memory, and no temporary root.
  onTestFinished(() => {
    for (const path of folder.all) rmSync(path, { recursive: true, force: true });
  });
  const lines: string[] = [];
  const placed: object[] = [];
  const ends: unknown[] = [];
  const left: [files: ContainerFiles | undefined, container: string][] = [];
  const attempt = new ContainerAttempt(
    { ...TASK, ...(container.pull === "never" ? { secrets: [] } : {}) },
    { image: "i", pull: "missing", keep: "never", volumes: [], options: [], ...container } as never,
    {
      done: (result: TaskResult, ms: number, at: number) => void ends.push({ result, ms, at }),
      output: (more) => void lines.push(...more.map(({ stream, line }) => `${stream} ${line}`)),
      died: (info) => void ends.push(info),
      placed: (at) => void placed.push(at),
    },
    {
      clock,
      folder,
      relabels: false,
      id: "p@1#3",
      name: "c",
      clientToken: "client",
      labels: { "orchd.token": "p@1#3" },
      ready: () => ready().then(() => engine),
      ended: (files: ContainerFiles | undefined, how: string) => {
        left.push([files, how]);
        if (files !== undefined) folder.end(files);
      },
    },
  );
  const done = attempt.run();
  /** Once the engine has that many commands. @returns the newest */
  const command = async (count = 1): Promise<PlayedCommand> => {
    await clock.until(() => commands.length >= count);
    await clock.settle();
    return commands.at(-1)!;
  };
  const over = async (): Promise<any> => {
    await done;
    expect([ends.length, clock.timers]).toEqual([1, 0]);
    return ends[0];
  };
  const exits = async (one: PlayedCommand, status: number | null): Promise<void> => {
    await clock.settle();
    one.emit("close", status);
  };
  const own = { clock, commands, asked, world, folder, lines, placed, left, attempt };
  return { ...own, command, over, exits, how: () => left.map(([, how]) => how) };
}

describe("a step in a container", () => {
  it("that ends well has its output, its lines, and the time of its command alone", async () => {
    let isReady = (): void => undefined;
    const ready = (): Promise<void> => new Promise((resolve) => (isReady = resolve));
    const { clock, command, exits, over, lines, placed, left, how } = rig({}, "podman", ready);
    await clock.advance(60_000);
    isReady();
    const run = await command();
    const began = clock.now();
    expect(placed).toEqual([{ place: "podman", host: hostname(), ref: "c" }]);
    expect(run.words[0]).toBe("run");
    expect(run.words.join(" ")).toContain("orchd.token=p@1#3");
    expect(run.how.env).toMatchObject({ [TOKEN_VARIABLE]: "client" });
    expect(run.how.isWanted()).toBe(true);
    run.stdout.write("it is hunter2x\n");
    run.stderr.write("b\n");
    const files = run.how.cwd!;
    expect(run.words.join(" ")).toContain(`orchd.files=${files}`);
    writeFileSync(join(files, "files/output"), '{"rows":1}');
    await clock.advance(2_000);
    await exits(run, 0);
    expect(await over()).toEqual({
      result: { ok: true, value: { rows: 1 } },
      ms: 2_000,
      at: began,
    });
    expect(lines).toEqual(["stdout it is ***", "stderr b"]);
    expect([how(), left[0]![0]!.folder]).toEqual([["gone"], files]);
  });

  it("that fails has its status, and is kept only where that is asked for", async () => {
    for (const [keep, left, told] of [
      ["never", "gone", []],
      [
        "on-failure",
        "kept",
        ["orchd [orchd: the container c is kept: look with podman logs, remove it with podman rm]"],
      ],
    ] as const) {
      const { command, exits, over, world, lines, how } = rig({ keep });
      const run = await command();
      world.state = ended(3);
      await exits(run, 3);
      const { result } = await over();
      expect(result).toMatchObject({ outcome: "failed", error: { exitStatus: 3 } });
      expect([how(), lines]).toEqual([[left], told]);
    }
  });

  it.each([3, 125, 126, 127])("that ends with %i itself said what it said", async (status) => {
    const { command, exits, over, world, lines } = rig();
    const run = await command();
    run.stderr.write("Error: of my own\n");
    world.state = ended(status);
    await exits(run, status);
    expect((await over()).result.error.exitStatus).toBe(status);
    expect(lines).toEqual(["stderr Error: of my own"]);
  });

  it("whose command is not in the image says so", async () => {
    const { command, exits, over, world } = rig();
    const run = await command();
    run.stderr.write("[FATAL tini (2)] exec /bin/sh failed: No such file or directory\n");
    world.state = ended(127);
    await exits(run, 127);
    expect((await over()).result.error).toMatchObject({
      name: "ContainerError",
      message: "the image i has no /bin/sh: name another one by shell, or by entrypoint",
    });
  });

  it("that ran out of memory says so, by the engine's word or by its monitor's file", async () => {
    for (const byFile of [false, true]) {
      const { command, exits, over, world } = rig();
      const run = await command();
      if (byFile) writeFileSync(join(run.how.cwd!, "oom"), "");
      world.state = ended(137, { outOfMemory: !byFile });
      await exits(run, 137);
      expect((await over()).result.error.code).toBe("ORCHD_OUT_OF_MEMORY");
    }
  });

  it("that ran out of memory says so where the engine tells it after the end", async () => {
    for (const isTold of [true, false]) {
      const { clock, command, exits, over, world } = rig({}, "docker");
      const run = await command();
      world.state = ended(137);
      await exits(run, 137);
      await clock.advance(200);
      if (isTold) world.state = ended(137, { outOfMemory: true });
      await clock.advance(100);
      const code = isTold ? "ORCHD_OUT_OF_MEMORY" : "ORCHD_SIGNAL";
      expect((await over()).result.error.code).toBe(code);
    }
  });

  it("has its time from the start of its command", async () => {
    const { clock, command, exits, over, asked, world, how } = rig({ keep: "on-failure" });
    const run = await command();
    const began = clock.monotonic();
    await clock.advance(9_999);
    expect(asked).toEqual([]);
    await clock.advance(4_000);
    expect(asked).toEqual([
      `${began + 10_000} kill --signal=SIGTERM`,
      `${began + 13_000} kill --signal=SIGKILL`,
    ]);
    world.state = ended(137);
    await exits(run, 137);
    expect((await over()).result).toMatchObject({ outcome: "timeout" });
    expect(how()).toEqual(["kept"]);
  });
});

describe("an image", () => {
  it("that is always pulled is pulled before the command", async () => {
    const { command, commands, exits, over, placed, lines } = rig({ pull: "always" });
    const pull = await command();
    expect([pull.words[0], placed]).toEqual(["pull", []]);
    pull.stderr.write("Copying blob hunter2x done\n");
    await exits(pull, 0);
    expect(lines.join()).toContain("Copying blob *** done");
    const run = await command(2);
    await exits(run, 0);
    expect((await over()).result.ok).toBe(true);
    expect(commands.map(({ words }) => words[0])).toEqual(["pull", "run"]);
  });

  it("that is pulled waits for room for what the pull needs", async () => {
    const { clock, command, exits, over, world, lines } = rig({ pull: "always" });
    world.started = () => {
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    };
    await command();
    world.started = () => undefined;
    expect(lines.at(-1)).toMatch(/the step waits$/);
    await clock.advance(1_000);
    await exits(await command(2), 0);
    const run = await command(3);
    expect(run.words[0]).toBe("run");
    await exits(run, 0);
    expect(await over()).toMatchObject({ result: { ok: true } });
  });

  it("that is always pulled, and is not there then, is not pulled a second time", async () => {
    const { command, commands, exits, over, world } = rig({ pull: "always" });
    world.image = false;
    await exits(await command(), 0);
    const run = await command(2);
    await exits(run, 125);
    expect((await over()).result.ok).toBe(false);
    expect(commands).toHaveLength(2);
  });

  it("that is missing is pulled once, and the command runs again", async () => {
    const { command, commands, exits, over, world, lines, placed } = rig();
    world.image = false;
    const first = await command();
    first.stderr.write("Error: i: image not known\n");
    await exits(first, 125);
    const pull = await command(2);
    expect(pull.words[0]).toBe("pull");
    await exits(pull, 0);
    const again = await command(3);
    again.stderr.write("Error: i: image not known\n");
    await exits(again, 125);
    expect((await over()).result.error.message).toMatch(
      /^the container of i could not be started: the image i is not there/,
    );
    expect(commands.map(({ words }) => words[0])).toEqual(["run", "pull", "run"]);
    expect([lines.length, placed.length]).toEqual([2, 1]);
  });

  it("that is there is not pulled: what the engine says is why it does not begin", async () => {
    const { command, exits, over, commands, how, lines } = rig({ keep: "on-failure" });
    const run = await command();
    run.stderr.write("Error: unknown flag: --x\n");
    await exits(run, 125);
    expect((await over()).result.error.message).toBe(
      "the container of i could not be started: unknown flag: --x (container.options)",
    );
    expect([commands.length, how(), lines]).toEqual([1, ["doubtful"], []]);
  });

  it("that may not be pulled is asked for", async () => {
    const { command, exits, over, commands, world } = rig({ pull: "never" });
    world.image = false;
    const run = await command();
    run.stderr.write("Error: whatever it says\n");
    await exits(run, 125);
    expect((await over()).result.error.message).toMatch(
      /^the image i is not there, and container.pull is never/,
    );
    expect(commands).toHaveLength(1);
  });

  it("of another platform says so", async () => {
    const { command, exits, over, world } = rig({ pull: "never", platform: "linux/arm64" });
    world.platform = "linux/amd64";
    const run = await command();
    await exits(run, 125);
    expect((await over()).result.error.message).toBe(
      "the image i is for linux/amd64 alone, and container.platform is linux/arm64",
    );
  });
});

describe("an engine that goes away", () => {
  it.each<[string, (run: PlayedCommand) => void, number | null, string]>([
    [
      "before it said anything of the container, after lines of the step",
      (run) => void run.stdout.write("a\n"),
      1,
      "podman went away as the step began",
    ],
    [
      "in the middle of a word",
      (run) => void run.stderr.write("Error: unexpected EOF\n"),
      125,
      "podman went away as the step began",
    ],
    [
      "by a signal to its command",
      () => undefined,
      null,
      "podman run was ended from outside as the step began",
    ],
  ])("%s is to blame, and no step is", async (_, says, status, because) => {
    const { command, exits, over, how } = rig({ keep: "on-failure" });
    const run = await command();
    says(run);
    await exits(run, status);
    expect(await over()).toMatchObject({ inFlight: ["p@1#3"], because, blameless: "lost" });
    expect(how()).toEqual(["doubtful"]);
  });

  it("before it was asked for anything has begun nothing", async () => {
    const { command, exits, over } = rig({}, "docker");
    const run = await command();
    run.stderr.write("docker: Cannot connect to the Docker daemon at unix:///x. Is it up?\n");
    await exits(run, 125);
    expect((await over()).result.error.message).toMatch(
      /^the container of i could not be started: .*annot connect to the Docker daemon/,
    );
  });

  it.each([
    ["goes on", RUNS, null],
    ["ended with another status than its command", ended(0), 1],
  ])("leaves a container that %s to be followed", async (_, state, status) => {
    const { clock, command, exits, over, world, lines } = rig();
    const run = await command();
    run.stdout.write("1\n");
    await clock.advance(1_000);
    world.state = state;
    await exits(run, status);
    const logs = await command(2);
    expect(logs.words).toEqual(["logs", "--follow", "c"]);
    logs.stdout.write("1\n2\n");
    await clock.advance(1_000);
    world.state = ended(0);
    await exits(logs, 0);
    expect(await over()).toMatchObject({ result: { ok: true }, ms: 2_000 });
    expect(lines).toEqual(["stdout 1", "stdout 2"]);
  });

  it.each([
    [0, "done"],
    [1, "done"],
    [137, "lost"],
    [143, "lost"],
    [255, "lost"],
    [-1, "lost"],
  ])("and is back: a container that ended with %i meanwhile is %s", async (status, how) => {
    const { clock, command, exits, over, world, lines } = rig();
    const run = await command();
    world.away = 2;
    world.state = ended(status);
    await exits(run, null);
    await clock.advance(1_000);
    if (how === "done") {
      const logs = await command(2);
      world.away = 1;
      await exits(logs, 0);
      await clock.advance(1_000);
    }
    const end = await over();
    const because = "podman went away while the step ran, and ended its container";
    if (how === "lost") expect(end).toMatchObject({ because, blameless: "lost" });
    else expect(end.result.ok).toBe(status === 0);
    expect(lines).toEqual([
      "orchd [orchd: podman did not answer: what was printed meanwhile may be missing]",
    ]);
  });

  it("that is none at all says why", async () => {
    const ready = (): Promise<void> => Promise.reject(new EngineError("no engine answers"));
    const { over, how } = rig({}, "podman", ready);
    expect((await over()).result).toMatchObject({
      outcome: "failed",
      error: { message: "no engine answers" },
    });
    expect(how()).toEqual(["gone"]);
  });
});

describe("a stop", () => {
  const STOPPED = { outcome: "stopped" };

  it("before there is an engine begins nothing", async () => {
    let isReady = (): void => undefined;
    const ready = (): Promise<void> => new Promise((resolve) => (isReady = resolve));
    const { clock, attempt, commands, over, how } = rig({ keep: "on-failure" }, "podman", ready);
    await clock.settle();
    expect(attempt.outlives).toBe(false);
    attempt.stop("graceful", "bob asked");
    expect((await over()).result).toMatchObject(STOPPED);
    isReady();
    await clock.settle();
    expect([commands, how()]).toEqual([[], ["gone"]]);
  });

  it("ends a pull, and what it was for does not begin", async () => {
    const { clock, attempt, command, commands, over } = rig({ pull: "always" });
    const pull = await command();
    expect(attempt.outlives).toBe(false);
    attempt.stop("graceful", "bob asked");
    expect((await over()).result).toMatchObject(STOPPED);
    await clock.settle();
    expect([pull.signals, commands.length]).toEqual([["SIGTERM"], 1]);
  });

  it("in the turn in which the command is started ends that", async () => {
    const { attempt, command, over, world } = rig();
    world.started = () => attempt.stop("graceful", "bob asked");
    const run = await command();
    expect((await over()).result).toMatchObject(STOPPED);
    expect(run.signals).toEqual(["SIGKILL"]);
  });

  it("goes to what runs, once, and by force to its end", async () => {
    const { clock, attempt, command, exits, over, asked, world, how } = rig({ keep: "on-failure" });
    const run = await command();
    expect(attempt.outlives).toBe(true);
    attempt.stop("graceful", "bob asked");
    expect(attempt.outlives).toBe(false);
    await clock.advance(5_000);
    attempt.stop("force", "ann asked");
    attempt.stop("force", "eve asked");
    await clock.advance(4_499);
    expect(asked.map((one) => one.split("=")[1])).toEqual(["SIGTERM", "SIGKILL"]);
    world.state = ended(143);
    await clock.advance(1);
    expect(run.signals).toEqual(["SIGKILL"]);
    await exits(await command(2), 0);
    const { result } = await over();
    expect(result).toMatchObject({ outcome: "stopped", error: { message: "bob asked" } });
    expect(how()).toEqual(["gone"]);
  });

  it("by the daemon's end leaves the container, and tells nothing more", async () => {
    const { clock, attempt, command, lines, left } = rig();
    const run = await command();
    attempt.leave();
    run.stdout.write("late\n");
    await clock.advance(60_000);
    expect([run.signals, lines, left, clock.timers]).toEqual([["SIGKILL"], [], [], 0]);
    expect(existsSync(run.how.cwd!)).toBe(true);
  });

  it("by the daemon's end before there is an engine begins nothing", async () => {
    let isReady = (): void => undefined;
    const ready = (): Promise<void> => new Promise((resolve) => (isReady = resolve));
    const { clock, attempt, commands, folder } = rig({}, "podman", ready);
    await clock.settle();
    attempt.leave();
    isReady();
    await clock.advance(1_000);
    expect([commands, folder.isUsed, clock.timers]).toEqual([[], false, 0]);
  });

  it("by the daemon's end ends a pull", async () => {
    const { clock, attempt, command } = rig({ pull: "always" });
    const pull = await command();
    attempt.leave();
    await clock.settle();
    expect([pull.signals, pull.how.isWanted()]).toEqual([["SIGTERM"], false]);
  });
});
