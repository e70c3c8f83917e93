/**
 * A runner on a machine that starts no more processes or threads for a while: what needs one waits,
 * since nothing of it has begun, and can be told to end meanwhile.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import type { FromRunner, ToRunner } from "../../src/places/pool/protocol.ts";
import type { Guard } from "../../src/places/runner/guard.ts";
import type { LeftBehind } from "../../src/places/runner/left-behind.ts";
import { RunnerHost } from "../../src/places/runner/runner-host.ts";
import { Scratch } from "../../src/places/runner/scratch.ts";
import { startShell, type ShellListener } from "../../src/places/runner/shell-process.ts";
import { ShellStep } from "../../src/places/runner/shell-step.ts";
import { plainShell } from "../support/plain-shell.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Threads that a test plays. */
const played = vi.hoisted(() => ({ tries: 0, isStarved: true, ran: [] as string[] }));

vi.mock("../../src/places/runner/worker-thread.ts", () => ({
  WorkerThread: class {
    ready = true;
    reused = false;
    isFull = false;
    busyMs = 0;
    current: string | undefined;
    constructor() {
      played.tries += 1;
      if (played.isStarved)
        throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
    }
    suits = () => true;
    knows = () => true;
    has = () => true;
    takeBack = () => false;
    seqOf = () => undefined;
    takeEnd = () => undefined;
    end = () => Promise.resolve(true);
    run({ id }: { readonly id: string }): void {
      this.current = id;
      played.ran.push(id);
    }
  },
}));

beforeEach(() => {
  Object.assign(played, { tries: 0, isStarved: true, ran: [] });
});
afterEach(() => void vi.useRealTimers());

function started(id: string, isolated: boolean): ToRunner {
  const head = {
    kind: "module",
    run: "p@1",
    pipeline: "p",
    step: id,
    attempt: 1,
    source: "a.ts",
    bundle: "b",
    isolated,
    gracePeriodMs: 1_000,
  } as const;
  return { type: "start", id, head, body: "{}" } as unknown as ToRunner;
}

it.each([
  ["a shared thread", false],
  ["a thread of its own", true],
])("a step waits for %s, looked for each second, says so, and may be stopped", (_, isolated) => {
  vi.useFakeTimers();
  const { root } = tempRoot();
  const said: FromRunner[] = [];
  const settings = { threads: 2, bundles: root, scratch: join(root, "s"), token: "starved" };
  const host = new RunnerHost(settings, new URL("file:///none"), (batch) => {
    said.push(...batch);
  });
  host.receive([started("a", isolated), started("b", isolated)]);
  vi.advanceTimersByTime(3_500);
  expect(played.ran).toEqual([]);
  expect(played.tries).toBeGreaterThanOrEqual(3);
  expect(played.tries).toBeLessThanOrEqual(5);
  host.receive([{ type: "stop", id: "a", mode: "graceful", because: "a person asked" }]);
  played.isStarved = false;
  vi.advanceTimersByTime(2_000);
  expect(played.ran).toEqual(["b"]);
  const lack = "the machine starts no more threads (see TasksMax= in the unit, ulimit -u)";
  const told = { type: "output", stream: "orchd", lines: [`${lack}: it waits for a thread`] };
  expect(said).toMatchObject([
    { ...told, id: "a" },
    { ...told, id: "b" },
    { type: "done", id: "a", result: { outcome: "stopped" } },
  ]);
});

/** More than a pid can be. */
const NO_PID = 2 ** 22 + 1;

/**
 * A shell step whose first starts find no process.
 *
 * @param spare a process was there that was to become the shell
 */
function shellStep(faults: number, { code = "EAGAIN", spare = false } = {}) {
  const { root } = tempRoot();
  mkdirSync(join(root, "s"));
  const guard = { began: () => undefined, ended: () => undefined } as unknown as Guard;
  const lines: string[] = [];
  let starts = 0;
  let step: ShellStep;
  const ended = new Promise<unknown>((resolve) => {
    step = new ShellStep("p@1#1", plainShell("echo done"), {
      scratch: new Scratch(join(root, "s"), guard),
      token: `starved-${process.pid}`,
      guard,
      leftBehind: {
        lastPid: () => undefined,
        began: () => undefined,
        end: () => undefined,
      } as unknown as LeftBehind,
      spares: [],
      baseEnv: { PATH: process.env["PATH"]! },
      start(command, listener: ShellListener) {
        starts += 1;
        if (starts > faults) return startShell(command, listener);
        if (spare) listener.began(NO_PID);
        const error = Object.assign(new Error(`spawn /bin/sh ${code}`), { code });
        process.nextTick(() => listener.failed(error));
        return { mute: () => undefined, read: () => undefined, expectEnd: () => undefined };
      },
      output: (_stream, more) => void lines.push(...more),
      ended: resolve,
    });
  });
  onTestFinished(() => step.kill());
  return { step: step!, ended, lines, starts: () => starts };
}

it("a command waits for a process, says so once, and begins", async () => {
  const { step, ended, lines, starts } = shellStep(2);
  step.start();
  expect(await ended).toMatchObject({ ok: true });
  expect(starts()).toBe(3);
  expect(lines).toEqual([
    "the machine starts no more processes (see TasksMax= in the unit, ulimit -u): " +
      "the command waits",
    "done",
  ]);
});

it("a command waits for a process too where the one that was to become it was killed", async () => {
  const { step, ended, starts } = shellStep(2, { spare: true });
  step.start();
  expect(await ended).toMatchObject({ ok: true });
  expect(starts()).toBe(3);
});

it("a command waits for memory, and not for a descriptor of its own runner", async () => {
  const memory = shellStep(1, { code: "ENOMEM" });
  memory.step.start();
  expect(await memory.ended).toMatchObject({ ok: true });
  expect(memory.lines[0]).toBe("the machine has no memory for another process: the command waits");
  const descriptor = shellStep(1, { code: "EMFILE" });
  descriptor.step.start();
  expect(await descriptor.ended).toMatchObject({ ok: false, error: { code: "EMFILE" } });
});

it("a command that waits for a process ends as it is told to", async () => {
  const { step, ended, starts } = shellStep(99);
  step.start();
  await new Promise(setImmediate);
  step.signal("SIGTERM");
  expect(await ended).toMatchObject({ ok: false, error: { code: "EAGAIN" } });
  expect(starts()).toBe(1);
});
