/**
 * An attempt in a container that runs already, under an engine that a test plays: when it begins,
 * what is sent to it, what is looked for at its end, and each sentence of a failure.
 */
import { EventEmitter } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { ShellTask, TaskResult } from "../../../src/core/task.ts";
import type { DeathInfo } from "../../../src/places/place.ts";
import { ContainerFiles } from "../../../src/places/container/container-files.ts";
import type { ContainerState, Engine } from "../../../src/places/container/engine.ts";
import { ExecAttempt, type ExecHost } from "../../../src/places/container/exec-attempt.ts";
import { plainShell } from "../../support/plain-shell.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const GRACE_MS = 3_000;

class PlayedTalk extends EventEmitter {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  exitCode: number | null = null;
  readonly kills: string[] = [];
  kill(signal: string): void {
    this.kills.push(signal);
  }
}

const RUNNING: Partial<ContainerState> = { running: true, paused: false };

function played(more: Partial<ShellTask> = {}, left = "rest:") {
  const clock = new VirtualClock();
  const client = new PlayedTalk();
  const asked: string[] = [];
  const told: string[] = [];
  const world = {
    state: RUNNING as Partial<ContainerState> | undefined,
    /** What is left, as the program in the container says. */
    left,
    /** The engine does not answer for this many questions. */
    away: 0,
    /** The disk is full for this many folders. */
    full: 0,
  };
  const folder = mkdtempSync(join(tempRoot().root, "f-"));
  const files = new ContainerFiles(folder);
  let words: readonly string[] = [];
  let names: readonly string[] = [];
  const engine = {
    name: "podman",
    talk: (given: readonly string[], { env }: { env: object }) => {
      words = given;
      names = Object.keys(env);
      return Promise.resolve(client);
    },
    ask: (given: readonly string[]) => {
      const [signal, pid, begin, token, also] = given.slice(-5);
      asked.push(`${signal} ${pid}/${begin} ${token}${also === "" ? "" : " also"}`);
      return Promise.resolve({ status: 0, stdout: world.left, stderr: "" });
    },
    inspect: () => {
      if (world.away > 0) {
        world.away -= 1;
        return Promise.reject(new Error("podman does not answer"));
      }
      return Promise.resolve(world.state === undefined ? [] : [world.state]);
    },
  } as unknown as Engine;
  let done: { result: TaskResult; ms: number; startedAt: number } | undefined;
  let died: DeathInfo | undefined;
  const attempt = new ExecAttempt(
    plainShell("true", { gracePeriodMs: GRACE_MS, ...more }),
    { exec: "web", user: "7" },
    {
      placed: ({ place, ref }) => void told.push(`placed ${place} ${ref}`),
      output: (lines) => void told.push(...lines.map((one) => `${one.stream} ${one.line}`)),
      done: (result, ms, startedAt) => void (done = { result, ms, startedAt }),
      died: (info) => void (died = info),
    },
    {
      clock,
      id: "r@1#2",
      name: "token-7",
      folder: {
        begin: (hasSecrets: boolean) => {
          if (world.full > 0) {
            world.full -= 1;
            throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
          }
          told.push(hasSecrets ? "folder in memory" : "folder");
          files.begin();
          return files;
        },
        end: () => void told.push("folder removed"),
      },
      ready: () => Promise.resolve(engine),
      ended: (given: ContainerFiles | undefined, how: string) =>
        void told.push(`ended ${given === files ? "with files" : "without"}: ${how}`),
    } as unknown as ExecHost,
  );
  const over = attempt.run();
  const sent = (): string => (client.stdin.read() as Buffer | null)?.toString() ?? "";
  const note = (): { boot?: readonly string[] } =>
    JSON.parse(readFileSync(join(folder, "exec.json"), "utf8")) as never;
  return {
    attempt,
    asked,
    client,
    clock,
    files,
    note,
    over,
    sent,
    world,
    words: () => words,
    /** The variables of the command, however they are given to it. */
    variables: () => {
      const file = words.find((word) => word.startsWith("--env-file="))?.slice(11);
      return [...words, ...names, file === undefined ? "" : readFileSync(file, "utf8")].join("\n");
    },
    said: () => told.splice(0),
    ended: () => ({
      done,
      died,
    }),
    error: () => (done?.result.ok === false ? done.result.error.message : undefined),
    async begins() {
      await clock.settle();
      client.stdout.write("orchd-ready 41 99\n");
      await clock.settle();
    },
    async exits(status: number | null) {
      await clock.settle();
      client.exitCode = status;
      client.emit("close", status);
      await clock.settle();
    },
  };
}

describe("an attempt in a container that runs already", () => {
  it("does not begin where that cannot be noted", async () => {
    const one = played();
    await one.clock.settle();
    rmSync(one.files.folder, { recursive: true });
    await one.begins();
    await one.exits(null);
    await one.over;
    expect(one.error()).toMatch(/^that it begins in "web" cannot be noted: ENOENT/);
    expect([one.sent(), one.client.kills]).toEqual(["", ["SIGKILL"]]);
    expect(one.said().at(-1)).toBe("ended with files: gone");
  });

  it("waits for room for its files and for its note, and says so", async () => {
    const full = (): Error => Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
    const one = played();
    one.world.full = 2;
    await one.clock.advance(1_500);
    expect(one.said()).toEqual(["orchd the disk is full: the step waits"]);
    await one.clock.advance(1_000);
    expect(one.said()).toEqual(["folder"]);
    const { folder } = one.files;
    let isFull = true;
    Object.defineProperty(one.files, "folder", {
      get: () => {
        if (isFull) throw full();
        return folder;
      },
    });
    await one.begins();
    expect([one.said(), one.sent()]).toEqual([["orchd the disk is full: the step waits"], ""]);
    isFull = false;
    await one.clock.advance(1_000);
    expect([one.said(), one.sent()]).toEqual([["placed podman web"], "go\n"]);
    await one.exits(0);
    await one.over;
    expect(one.ended().done?.result).toMatchObject({ ok: true });
  });

  it("that waits for room is stopped at once, and never begins", async () => {
    const one = played();
    one.world.full = 9;
    await one.clock.advance(1_500);
    one.attempt.stop("graceful", "enough");
    await one.over;
    await one.clock.advance(5_000);
    expect(one.ended().done?.result).toMatchObject({ outcome: "stopped" });
    expect([one.words(), one.world.full]).toEqual([[], 7]);
  });

  it("that waits for room for its note is stopped at once, and never begins", async () => {
    const one = played();
    const { folder } = one.files;
    let isFull = false;
    Object.defineProperty(one.files, "folder", {
      get: () => {
        if (isFull) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
        return folder;
      },
    });
    await one.clock.settle();
    isFull = true;
    await one.begins();
    one.attempt.stop("graceful", "enough");
    isFull = false;
    await one.clock.advance(5_000);
    await one.over;
    expect(one.ended().done?.result).toMatchObject({ outcome: "stopped" });
    expect([one.sent(), one.client.kills[0]]).toEqual(["", "SIGKILL"]);
    expect(one.said().filter((line) => line.startsWith("placed"))).toEqual([]);
  });

  it("begins once its note is written, and its time counts from then", async () => {
    const one = played();
    await one.clock.advance(5_000);
    expect(one.said()).toEqual(["folder"]);
    expect(one.note()).toEqual({ container: "web", user: "7", token: "token-7" });
    expect(one.sent()).toBe("");
    one.client.stdout.write("orchd-ready ");
    one.client.stdout.write("41 99\nfirst\nsec");
    await one.clock.settle();
    expect(one.note().boot).toEqual(["41", "99"]);
    expect(one.sent()).toBe("go\n");
    one.client.stdout.write("ond\n");
    await one.clock.advance(70);
    await one.exits(0);
    expect(one.said()).toEqual([
      "placed podman web",
      "stdout first",
      "stdout second",
      "ended with files: gone",
    ]);
    const { done } = one.ended();
    expect(done).toMatchObject({ result: { ok: true, value: null }, ms: 70 });
    expect(done!.startedAt).toBe(Date.parse("2026-11-23T02:00:05.000Z"));
    // An end that was heard leaves nothing: the program in there has seen to that.
    expect([one.asked, one.clock.timers]).toEqual([[], 0]);
    await one.over;
  });

  it("is one of its user, with its token, and no file for an empty list of params", async () => {
    const one = played({ env: { A: "b" }, params: { n: 1 }, secrets: ["s"] });
    await one.begins();
    expect(one.said()[0]).toBe("folder in memory");
    expect(one.words().slice(0, 3)).toEqual(["exec", "--interactive", "--user=7"]);
    const at = one.words().indexOf("orchd-step");
    expect(one.words().slice(at + 1)).toEqual(["token-7", "/bin/sh", "-eu", "-c", "true"]);
    expect(one.variables()).toContain("ORCHD_PARAM_n");
    expect(one.variables()).not.toMatch(/ORCHD_(PARAMS|INPUTS)\b/);
    await one.exits(0);
  });

  it("never begins where its first line is none", async () => {
    const one = played();
    await one.clock.settle();
    one.client.stdout.write("hello\n");
    await one.clock.settle();
    expect(one.sent()).toBe("");
    expect([one.client.kills, one.client.stdin.destroyed]).toEqual([["SIGKILL"], true]);
    one.client.stderr.write("no such thing\n");
    await one.exits(137);
    expect(one.error()).toBe('nothing could be started in the container "web": no such thing');
    expect(one.said()).toEqual(["folder", "ended with files: gone"]);
  });

  it("never begins where its first line does not end", async () => {
    const one = played();
    await one.clock.settle();
    one.client.stdout.write("x".repeat(255));
    await one.clock.settle();
    expect(one.client.kills).toEqual([]);
    one.client.stdout.write("x");
    await one.clock.settle();
    expect([one.sent(), one.client.kills]).toEqual(["", ["SIGKILL"]]);
    await one.exits(137);
  });

  it.each([
    [124, []],
    [125, ["KILL 41/99 token-7 also"]],
  ])("that ends with status %i is looked for: %j", async (status, asked) => {
    const one = played();
    await one.begins();
    await one.exits(status);
    // From 125 on a status may be the engine's own.
    expect(one.asked).toEqual(asked);
  });

  it("fails with its status and its last line on stderr", async () => {
    const one = played();
    await one.begins();
    one.client.stderr.write("one\ntwo");
    one.client.stdout.write("out\n");
    await one.exits(3);
    expect(one.error()).toBe("the command ended with status 3: two");
    expect(one.asked).toEqual([]);
  });

  it.each<[string, Partial<ContainerState> | undefined, string]>([
    ["is not there", undefined, 'there is no container "web": start it, or name another one'],
    [
      "is frozen",
      { running: true, paused: true },
      'the container "web" is frozen (paused): `podman unpause web` has it go on',
    ],
    [
      "does not run",
      { running: false, paused: false },
      'the container "web" does not run: `podman start web` has it go on',
    ],
  ])("that cannot begin where the container %s says what to do", async (_, state, sentence) => {
    const one = played();
    one.world.state = state;
    await one.exits(125);
    expect(one.error()).toContain(sentence);
    expect(one.said()).toEqual(["folder", "ended with files: gone"]);
  });

  it.each<[string, Partial<ContainerState> | undefined, string]>([
    ["was removed", undefined, 'there is no container "web"'],
    ["ended", { running: false, paused: false }, 'the container "web" does not run'],
  ])("whose container %s meanwhile says so", async (_, state, sentence) => {
    const one = played();
    await one.begins();
    one.world.state = state;
    await one.exits(137);
    expect(one.error()).toBe(`${sentence}: it ended while the step ran in it`);
  });

  it("whose command was ended from outside has failed, and what it started is ended", async () => {
    const one = played();
    await one.begins();
    await one.exits(null);
    expect(one.error()).toBe(
      'the podman exec that ran it in the container "web" was ended from outside, ' +
        "so what it had started there was ended too",
    );
    expect(one.asked).toEqual(["KILL 41/99 token-7 also"]);
    expect(one.said().at(-1)).toBe("ended with files: gone");
  });

  it.each([
    ["went away and came back", 1, ""],
    ["was cut off by its end", 0, "error during connect: EOF"],
  ])("whose engine %s is lost, and what it started is looked for", async (_, away, said) => {
    const one = played();
    await one.begins();
    one.world.away = away;
    one.client.stderr.write(`${said}\n`);
    await one.exits(1);
    await one.clock.advance(1_000);
    expect(one.ended().done).toBeUndefined();
    expect(one.ended().died).toEqual({
      inFlight: ["r@1#2"],
      alone: true,
      because: 'podman went away while the step ran in "web"',
      code: "ORCHD_PLACE",
      blameless: "lost",
    });
    expect(one.asked).toEqual(["KILL 41/99 token-7 also"]);
  });
});

it("an engine that dies under what was told to end is no loss", async () => {
  const one = played();
  await one.begins();
  one.attempt.stop("graceful", "by me");
  one.client.stderr.write("error during connect: EOF\n");
  await one.exits(1);
  await one.clock.advance(1_000);
  expect(one.ended().died).toBeUndefined();
  expect(one.ended().done).toMatchObject({ result: { outcome: "stopped" } });
});

it("a command that was killed as its container ended says so of the command", async () => {
  const one = played();
  await one.begins();
  one.world.state = undefined;
  await one.exits(null);
  expect(one.error()).toMatch(/^the podman exec that ran it in the container "web" was ended/);
});

describe("an end that is asked for", () => {
  it("before it has begun is one at once, and nothing begins", async () => {
    const one = played();
    await one.clock.settle();
    one.attempt.stop("graceful", "by me");
    await one.clock.settle();
    expect(one.ended().done).toMatchObject({ result: { ok: false, outcome: "stopped" }, ms: 0 });
    expect([one.client.kills, one.asked]).toEqual([["SIGKILL"], []]);
    expect(one.said()).toEqual(["folder", "ended with files: gone"]);
    await one.begins();
    expect(one.sent()).toBe("");
    expect(existsSync(one.files.folder)).toBe(true);
  });

  it("before the engine has answered makes no folder", async () => {
    const one = played();
    one.attempt.stop("force", "by me");
    await one.clock.settle();
    expect(one.said()).toEqual(["ended without: gone"]);
    expect(one.ended().done).toMatchObject({ result: { outcome: "stopped" } });
  });

  it("sends TERM once; by force KILL after the grace period, and then is the end", async () => {
    const one = played({}, "rest: 41");
    await one.begins();
    one.attempt.stop("graceful", "by me");
    one.attempt.stop("graceful", "again");
    await one.clock.advance(60_000);
    expect(one.asked.splice(0)).toEqual(["TERM 41/99 token-7"]);
    one.attempt.stop("force", "by force");
    one.attempt.stop("force", "once more");
    await one.clock.advance(GRACE_MS - 1);
    expect(one.asked).toEqual([]);
    await one.clock.advance(1);
    expect(one.asked.splice(0)).toEqual(["KILL 41/99 token-7"]);
    one.world.left = "rest:";
    await one.clock.advance(499);
    expect(one.ended().done).toBeUndefined();
    await one.clock.advance(1);
    // Its end was not heard, so what is left is looked for.
    expect(one.asked).toEqual(["KILL 41/99 token-7 also"]);
    expect(one.client.kills).toEqual(["SIGKILL"]);
    expect(one.ended().done).toMatchObject({
      result: { ok: false, outcome: "stopped", error: { message: "by me" } },
      ms: 60_000 + GRACE_MS + 500,
    });
    expect(one.clock.timers).toBe(0);
  });

  it.each([
    [0, { ok: true, value: null }],
    [143, { ok: false, outcome: "stopped", error: { name: "Stopped", message: "by me" } }],
  ])("of one that ends with status %i then is its result", async (status, result) => {
    const one = played();
    await one.begins();
    one.attempt.stop("graceful", "by me");
    await one.exits(status);
    expect(one.ended().done?.result).toEqual(result);
  });

  it("by the time limit is forced, and says what to do", async () => {
    const one = played({ timeoutMs: 10_000 });
    await one.clock.advance(30_000);
    await one.begins();
    await one.clock.advance(9_999);
    expect(one.asked).toEqual([]);
    await one.clock.advance(1);
    expect(one.asked).toEqual(["TERM 41/99 token-7"]);
    await one.clock.advance(GRACE_MS);
    expect(one.asked).toEqual(["TERM 41/99 token-7", "KILL 41/99 token-7"]);
    await one.exits(137);
    expect(one.error()).toBe(
      'step "it" was not done within its time limit of 10s: ' +
        "raise it (timeout), or find what holds it up",
    );
    expect(one.clock.timers).toBe(0);
  });

  it("by the time limit is one, with whatever status the command ends then", async () => {
    const one = played({ timeoutMs: 10_000 });
    await one.begins();
    await one.clock.advance(10_000);
    await one.exits(0);
    expect(one.ended().done?.result).toMatchObject({ ok: false, outcome: "timeout" });
  });

  it("that leaves something is told so, and its note stays for the next look", async () => {
    const one = played();
    await one.begins();
    // Nobody can look: the engine refuses, and the container runs.
    one.world.left = "";
    await one.exits(null);
    expect(one.said().at(-1)).toBe("ended with files: doubtful");
  });
});

describe("the daemon's end", () => {
  it("ends what has begun, and tells nobody", async () => {
    const one = played({ timeoutMs: 10_000 });
    await one.begins();
    one.said();
    await one.attempt.leave();
    expect(one.asked).toEqual(["KILL 41/99 token-7 also"]);
    expect([one.said(), one.clock.timers]).toEqual([["ended with files: gone"], 0]);
    await one.exits(137);
    await one.clock.advance(60_000);
    await one.attempt.leave();
    expect([one.ended().done, one.said(), one.clock.timers]).toEqual([undefined, [], 0]);
  });

  it("drops what has not begun without a look", async () => {
    const one = played();
    await one.clock.settle();
    await one.attempt.leave();
    expect([one.client.kills, one.asked]).toEqual([["SIGKILL"], []]);
    expect(one.said()).toEqual(["folder", "ended with files: gone"]);
  });

  it("keeps the note of what may be left", async () => {
    const one = played();
    await one.begins();
    one.said();
    one.world.left = "";
    await one.attempt.leave();
    expect(one.said()).toEqual([]);
  });
});

it.each<[string, Partial<ShellTask>, string]>([
  [
    "a long param",
    { params: { p: "x".repeat(40_000) } },
    "its param or input p is long, so it is given as a file",
  ],
  [
    "a param that is a list",
    { params: { p: [1] } },
    "its param or input p is no text, number or boolean, so it is given as a file",
  ],
  [
    "a long text",
    { text: "x".repeat(96 * 1_024 + 1) },
    "its text is longer than 96 KiB, so it is given as a file",
  ],
])("%s cannot be given to a container that runs already", async (_, more, sentence) => {
  const one = played(more);
  await one.clock.settle();
  expect(one.error()).toContain(sentence);
  expect(one.said()).toEqual(["ended without: gone"]);
});
