/** An attempt in a container under an engine that a test plays: its limits, its end, its lines. */
import { EventEmitter } from "node:events";
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { ImageContainer } from "../../src/core/container.ts";
import type { OutputLine, ShellTask, TaskResult } from "../../src/core/task.ts";
import {
  ContainerAttempt,
  type AttemptHost,
} from "../../src/places/container/container-attempt.ts";
import { ContainerFiles } from "../../src/places/container/container-files.ts";
import type { ContainerState, Engine } from "../../src/places/container/engine.ts";
import type { DeathInfo } from "../../src/places/place.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** The command of an engine, until the test ends it. */
class PlayedClient extends EventEmitter {
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  kill(): void {
    this.emit("close", null);
  }
}

const TASK = {
  kind: "shell",
  text: "true",
  shell: ["/bin/sh"],
  cwd: "",
  step: "a",
  run: { attempt: 1 },
  params: {},
  inputs: {},
  env: {},
  secrets: [],
  timeoutMs: 10_000,
  gracePeriodMs: 3_000,
} as unknown as ShellTask;

interface Asked {
  readonly at: number;
  readonly words: string;
}

/** A container that has run for so long when this daemon takes it over. */
function adopted({
  ranMs = 0,
  task = {},
  heard = { stdout: 0, stderr: 0 },
  keep = "never",
  killStatus = () => 0,
  killSays = "",
  monitor = process.pid,
  isStarved = false,
  waits = () => new Promise(() => undefined),
}: {
  readonly ranMs?: number;
  readonly task?: Partial<ShellTask>;
  readonly heard?: { readonly stdout: number; readonly stderr: number };
  readonly keep?: ImageContainer["keep"];
  readonly killStatus?: () => number;
  readonly killSays?: string;
  /** The process that tells podman of the end. Default: one that lives. */
  readonly monitor?: number;
  /** The machine has no process for a command. */
  readonly isStarved?: boolean;
  /** What podman answers to `wait`. */
  readonly waits?: () => Promise<unknown>;
}) {
  const clock = new VirtualClock();
  const asked: Asked[] = [];
  const note = (...words: readonly string[]): void =>
    void asked.push({ at: clock.monotonic(), words: words.join(" ") });
  const client = new PlayedClient();
  let state: ContainerState | undefined = {
    name: "c",
    labels: {},
    running: true,
    paused: false,
    startedAt: new Date(clock.now() - ranMs).toISOString(),
    exitCode: 0,
    outOfMemory: false,
    monitor,
  };
  const engine = {
    name: "podman",
    start: () => (isStarved ? new Promise(() => undefined) : client),
    ask(words: readonly string[]) {
      if (words[0] === "wait") return waits();
      note(...words);
      return Promise.resolve({ status: killStatus(), stdout: "", stderr: killSays });
    },
    inspect: () => Promise.resolve(state === undefined ? [] : [state]),
    remove(names: readonly string[]) {
      note("remove", ...names);
      return new Promise<void>((resolve) => void clock.after(50, resolve));
    },
  } as unknown as Engine;
  const files = new ContainerFiles(mkdtempSync(join(tempRoot().root, "f-")));
  files.begin();
  const lines: string[] = [];
  let done: { readonly result: TaskResult; readonly ms: number; readonly at: number } | undefined;
  let placed = 0;
  let died: DeathInfo | undefined;
  let left: string | undefined;
  const attempt = new ContainerAttempt(
    { ...TASK, ...task },
    { image: "i", pull: "missing", keep } as ImageContainer,
    {
      done: (result, ms, at) => void (done = { result, ms, at }),
      output: (more: readonly OutputLine[]) =>
        void lines.push(...more.map(({ stream, line }) => `${stream} ${line}`)),
      died: (info: DeathInfo) => void (died = info),
      placed: () => void (placed += 1),
    },
    {
      clock,
      folder: { of: () => files },
      id: "t",
      name: "c",
      ended: (_files: unknown, container: string) => void (left = container),
    } as unknown as AttemptHost,
  );
  const over = attempt.adopt(engine, state, heard);
  return {
    attempt,
    asked,
    client,
    clock,
    files,
    lines,
    placed: () => placed,
    /** The state of the container from now on, as the engine tells it. */
    is: (more: Partial<ContainerState>) => void (state = { ...state!, ...more }),
    /** How the attempt died, and what the place was told of its container. */
    lost: () => ({ died, left }),
    ended: () => done?.result,
    /** The container ends, and what reads its log with it. Undefined: somebody removed it. */
    async ends(end: Partial<ContainerState> | undefined) {
      state = end === undefined ? undefined : { ...state!, running: false, ...end };
      // By then the attempt reads what the command prints.
      await clock.settle();
      client.emit("close", 0);
      await over;
      return { ...done!, left };
    },
  };
}

describe("the time limit of a container that another daemon started", () => {
  it.each([
    [0, 10_000],
    [1, 9_999],
    [9_000, 1_000],
    [10_000, 0],
    [60_000, 0],
  ])("of 10 s comes, %i ms after its start, in %i ms; then the grace period", async (ranMs, at) => {
    const { asked, clock } = adopted({ ranMs });
    await clock.advance(at - 1);
    expect(asked).toEqual([]);
    await clock.advance(20_000);
    expect(asked).toEqual([
      { at, words: "kill --signal=SIGTERM c" },
      { at: at + 3_000, words: "kill --signal=SIGKILL c" },
      { at: at + 4_500, words: "remove c" },
    ]);
  });

  it("is in the error, with what to do, and the time counts from its start", async () => {
    const { clock, ends } = adopted({ ranMs: 9_000 });
    await clock.advance(1_500);
    const began = clock.now() - 10_500;
    expect(await ends({ exitCode: 143 })).toEqual({
      left: "gone",
      ms: 10_500,
      at: began,
      result: {
        ok: false,
        outcome: "timeout",
        error: {
          name: "TimeoutError",
          message:
            'step "a" was not done within its time limit of 10s: ' +
            "raise it (timeout), or find what holds it up",
          code: "ORCHD_STEP_TIMEOUT",
        },
      },
    });
  });

  it("is none where the step has none", async () => {
    const { asked, clock } = adopted({ ranMs: 90_000, task: { timeoutMs: undefined } });
    await clock.advance(86_400_000);
    expect(asked).toEqual([]);
  });
});

describe("a container whose monitor was killed", () => {
  /** No process has this number: it is above what Linux gives. */
  const KILLED = 2 ** 22 + 1;
  const NOT_THERE = "Error: container state improper: stopped\n";

  it("has ended where podman finds no process, whatever podman says of it", async () => {
    const { asked, clock, lost } = adopted({
      monitor: KILLED,
      killStatus: () => 125,
      killSays: NOT_THERE,
    });
    await clock.advance(2_000);
    expect(asked).toEqual([{ at: 2_000, words: "kill --signal=URG c" }]);
    expect(lost()).toEqual({
      left: "doubtful",
      died: {
        inFlight: ["t"],
        alone: true,
        because:
          "podman's monitor of the container (conmon) was killed, and nobody saw how it ended",
        code: "ORCHD_PLACE",
        blameless: "lost",
      },
    });
    await clock.advance(60_000);
    expect(asked).toHaveLength(1);
  });

  it("goes on where its process lives, and is looked for every 2 s", async () => {
    const { asked, clock, lost } = adopted({ monitor: KILLED, task: { timeoutMs: undefined } });
    await clock.advance(10_000);
    expect(asked.map(({ at }) => at)).toEqual([2_000, 4_000, 6_000, 8_000, 10_000]);
    expect(lost()).toEqual({ left: undefined, died: undefined });
  });

  it.each([
    "can only kill running containers. 0a is in state paused: container state improper",
    "cannot connect to Podman",
  ])("goes on where podman says: %s", async (killSays) => {
    const { clock, lost } = adopted({
      monitor: KILLED,
      task: { timeoutMs: undefined },
      killStatus: () => 125,
      killSays,
    });
    await clock.advance(10_000);
    expect(lost()).toEqual({ left: undefined, died: undefined });
  });

  it("is stopped where a stop finds no process", async () => {
    const { attempt, clock, ended } = adopted({
      monitor: KILLED,
      killStatus: () => 125,
      killSays: NOT_THERE,
    });
    attempt.stop("graceful", "by me");
    await clock.advance(2_000);
    expect(ended()).toMatchObject({ ok: false, outcome: "stopped" });
  });
});

describe("a stop", () => {
  it("asks once, and by force ends it after the grace period, once", async () => {
    const { attempt, asked, clock, ends } = adopted({});
    attempt.stop("graceful", "by me");
    attempt.stop("graceful", "again");
    await clock.advance(5_000);
    expect(asked.map(({ words }) => words)).toEqual(["kill --signal=SIGTERM c"]);
    attempt.stop("force", "by force");
    attempt.stop("force", "once more");
    await clock.advance(3_000);
    expect(asked.slice(1)).toEqual([{ at: 8_000, words: "kill --signal=SIGKILL c" }]);
    const { result } = await ends({ exitCode: 137 });
    expect(result).toEqual({
      ok: false,
      outcome: "stopped",
      error: { name: "Stopped", message: "by me" },
    });
    await clock.advance(60_000);
    expect(asked).toHaveLength(2);
  });

  it("that nothing in it obeys removes it, and only then ends what reads its log", async () => {
    const { attempt, asked, client, clock, ended } = adopted({});
    client.on("close", () => void asked.push({ at: clock.monotonic(), words: "its log ends" }));
    attempt.stop("force", "by force");
    await clock.advance(10_000);
    expect(asked).toEqual([
      { at: 0, words: "kill --signal=SIGTERM c" },
      { at: 3_000, words: "kill --signal=SIGKILL c" },
      { at: 4_500, words: "remove c" },
      { at: 4_550, words: "its log ends" },
    ]);
    expect(ended()).toBeUndefined();
  });

  it("is told also while no process can be had for reading its log", async () => {
    const { attempt, asked, clock, ended } = adopted({ isStarved: true });
    attempt.stop("graceful", "by me");
    await clock.advance(1_000);
    expect(asked).toEqual([{ at: 0, words: "kill --signal=SIGTERM c" }]);
    expect(ended()).toBeUndefined();
  });

  it("is told again each 100 ms until a container hears it", async () => {
    let tries = 0;
    const { attempt, asked, clock } = adopted({ killStatus: () => ((tries += 1) < 3 ? 1 : 0) });
    attempt.stop("graceful", "by me");
    await clock.advance(2_000);
    expect(asked.map(({ at }) => at)).toEqual([0, 100, 200]);
  });
});

describe("the end", () => {
  it.each([
    ["never", "gone", []],
    [
      "on-failure",
      "kept",
      ["orchd [orchd: the container c is kept: look with podman logs, remove it with podman rm]"],
    ],
  ] as const)("of a failed one with keep: %s: it is %s", async (keep, kind, told) => {
    const { lines, ends } = adopted({ keep });
    const { result, left } = await ends({ exitCode: 3 });
    expect([left, lines]).toEqual([kind, told]);
    expect(result).toMatchObject({ ok: false, outcome: "failed", error: { exitStatus: 3 } });
  });

  it("of one whose time was up is that, whatever its command ends with", async () => {
    const artifacts = mkdtempSync(join(tempRoot().root, "a-"));
    const { clock, ends, files } = adopted({ keep: "on-failure", task: { artifacts } });
    writeFileSync(join(files.mounted, "output"), JSON.stringify("x".repeat(100_000)));
    await clock.advance(10_000);
    const { result, left } = await ends({ exitCode: 0 });
    expect([result.ok === false && result.outcome, left]).toEqual(["timeout", "kept"]);
    expect(readdirSync(artifacts)).toEqual([]);
  });

  it.each([
    ["ends well all the same is done", "", { ok: true, value: null }],
    [
      "writes no output that counts has stopped",
      "unreadable",
      { ok: false, outcome: "stopped", error: { name: "Stopped", message: "by me" } },
    ],
  ])("of one that is stopped and %s", async (_, output, expected) => {
    const { attempt, ends, files } = adopted({});
    if (output !== "") {
      rmSync(join(files.mounted, "output"));
      symlinkSync("/etc/passwd", join(files.mounted, "output"));
    }
    attempt.stop("graceful", "by me");
    const { result } = await ends({ exitCode: 0 });
    expect(result).toEqual(expected);
  });

  it("that somebody made says so", async () => {
    const { result } = await adopted({}).ends(undefined);
    expect(result).toMatchObject({
      outcome: "failed",
      error: {
        name: "ContainerError",
        code: "ORCHD_CONTAINER",
        message: "its container c was removed by somebody while it ran",
      },
    });
  });

  it("with an output that is a link is refused, with what to do", async () => {
    const { files, ends } = adopted({});
    rmSync(join(files.mounted, "output"));
    symlinkSync("/etc/passwd", join(files.mounted, "output"));
    const { result } = await ends({ exitCode: 0 });
    expect(result).toMatchObject({
      outcome: "failed",
      error: {
        name: "BadOutput",
        message: expect.stringContaining(
          "made $ORCHD_OUTPUT a link: write the result as JSON to the file of that name",
        ) as string,
      },
    });
  });
});

it("lines that the earlier daemon passed on are not passed on again", async () => {
  const { client, clock, lines, ends } = adopted({ heard: { stdout: 2, stderr: 1 } });
  client.stdout.write("1\n2\n3\n");
  client.stderr.write("a\nb\n");
  await clock.settle();
  client.stdout.write("4\n");
  await clock.settle();
  await ends({ exitCode: 0 });
  expect(lines.toSorted()).toEqual(["stderr b", "stdout 3", "stdout 4"]);
});

it("what is adopted was told where it is already, and has no time before its start", async () => {
  const { placed, ends, clock } = adopted({ ranMs: -60_000 });
  const at = clock.now();
  await clock.advance(1_000);
  expect(await ends({ exitCode: 0 })).toMatchObject({ ms: 1_000, at });
  expect(placed()).toBe(0);
});

it("a container that goes on after its log ended is waited for, and asked for again", async () => {
  const asks: ((status: number) => void)[] = [];
  const { client, clock, is, ended } = adopted({
    waits: () => new Promise((answer) => asks.push((status) => answer({ status }))),
  });
  await clock.settle();
  client.emit("close", 1);
  await clock.settle();
  expect(asks).toHaveLength(1);
  asks[0]!(125);
  await clock.advance(99);
  expect(asks).toHaveLength(1);
  await clock.advance(1);
  expect(asks).toHaveLength(2);
  is({ running: false, exitCode: 0 });
  asks[1]!(0);
  await clock.settle();
  expect([ended()?.ok, clock.timers]).toEqual([true, 0]);
});
