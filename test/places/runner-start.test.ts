/**
 * A runner that does not come up, since the machine starts no more processes or threads: nothing
 * was given to it, so it is started again, and no step hears of it. So it is with a runner behind a
 * command, and with the guard of one.
 */
import type * as childProcess from "node:child_process";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { RunnerChild } from "../../src/places/local/runner-child.ts";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import type { StreamPlace } from "../../src/places/pool/stream-place.ts";
import { StreamRunner } from "../../src/places/pool/stream-runner.ts";
import { Guard } from "../../src/places/runner/guard.ts";
import { plainShell } from "../support/plain-shell.ts";
import { tempRoot } from "../support/temp-root.ts";

/** More than a pid can be. */
const NO_PID = 2 ** 22 + 1;

/** How the next starts end, before any works. */
const seam = vi.hoisted(() => ({
  faults: [] as ("EAGAIN" | "ENOMEM" | "SIGABRT" | "ENOENT")[],
  forks: 0,
  /** Undefined: it works. */
  spawned: undefined as (() => unknown) | undefined,
  spawns: 0,
  /** The pids that were told. */
  started: [] as number[],
}));

vi.mock("node:child_process", async (original) => {
  const real = await original<typeof childProcess>();
  const fork = (...words: Parameters<typeof real.spawn>): unknown => {
    seam.forks += 1;
    const fault = seam.faults.shift();
    if (fault === undefined) return real.spawn(...words);
    if (fault === "SIGABRT") {
      const child = real.spawn(...words);
      child.kill(fault);
      return child;
    }
    const child = Object.assign(new EventEmitter(), { pid: undefined });
    const error = Object.assign(new Error(`spawn node ${fault}`), { code: fault });
    // Node throws what it does not expect.
    if (fault === "ENOMEM") throw error;
    process.nextTick(() => child.emit("error", error));
    return child;
  };
  const spawn = (...words: Parameters<typeof real.spawn>): unknown => {
    // A runner is Node, and no command of a test is.
    if (words[0] === process.execPath) return fork(...words);
    if (seam.spawned === undefined) return real.spawn(...words);
    seam.spawns += 1;
    const fault = seam.faults.shift();
    if (fault === undefined) return seam.spawned();
    const error = Object.assign(new Error(`spawn it ${fault}`), { code: fault });
    if (fault === "ENOMEM") throw error;
    // Where descriptors ran out it has no pipes.
    const child = Object.assign(new EventEmitter(), { pid: undefined });
    process.nextTick(() => child.emit("error", error));
    return child;
  };
  return { ...real, spawn, default: { ...real, spawn } };
});

beforeEach(() => {
  seam.forks = 0;
  seam.faults = [];
  seam.spawned = undefined;
  seam.spawns = 0;
});

/** A runner that is given a step at once. @returns what is heard of it first */
async function firstOf(...faults: typeof seam.faults): Promise<unknown> {
  seam.faults = faults;
  seam.started = [];
  const { root } = tempRoot();
  const token = `start-${process.pid}-${Math.random().toString(36).slice(2)}`;
  let child: RunnerChild;
  const heard = new Promise((resolve) => {
    child = new RunnerChild({ threads: 1, bundles: root, scratch: root, token }, 1, false, {
      started: (pid) => void seam.started.push(pid),
      messages: (batch: readonly FromRunner[]) => resolve(batch[0]),
      stray: () => undefined,
      exit: resolve,
    });
    child.send({ type: "start", id: "a", task: plainShell("true") });
  });
  onTestFinished(async () => {
    child.kill();
    await child.exited;
  });
  return heard;
}

it("is started again until it comes up, and has what it was sent", async () => {
  expect(await firstOf("EAGAIN", "SIGABRT", "ENOMEM")).toMatchObject({
    type: "done",
    id: "a",
    result: { ok: true },
  });
  expect(seam.forks).toBe(4);
  // The one that came up is another process than the one before.
  expect(new Set(seam.started).size).toBe(2);
});

it("is told of where it has a wire: it may have been given a step by that", async () => {
  seam.faults = ["SIGABRT"];
  const { root } = tempRoot();
  const wire = { folder: root, isTemporary: true };
  const settings = { threads: 1, bundles: root, scratch: root, token: `w-${process.pid}`, wire };
  const exit = vi.fn<() => void>();
  const unheard = (): void => undefined;
  const listener = { started: unheard, messages: unheard, stray: unheard, exit };
  await new RunnerChild(settings, 1, false, listener).exited;
  expect(exit).toHaveBeenCalledWith({ detail: "was ended by SIGABRT", outOfMemory: false });
  expect(seam.forks).toBe(1);
});

it("is told at once where its program is not there", async () => {
  expect(await firstOf("ENOENT")).toEqual({ detail: "could not be started", outOfMemory: false });
  expect(seam.forks).toBe(1);
});

it("that is not up yet ends a step at once that is stopped", async () => {
  seam.faults = Array<"EAGAIN">(9).fill("EAGAIN");
  const { root } = tempRoot();
  const token = `stopped-${process.pid}`;
  const heard = await new Promise((resolve) => {
    const settings = { threads: 1, bundles: root, scratch: root, token };
    const child = new RunnerChild(settings, 1, false, {
      started: () => undefined,
      messages: resolve,
      stray: () => undefined,
      exit: resolve,
    });
    onTestFinished(() => child.kill());
    child.send({ type: "start", id: "a", task: plainShell("true") });
    child.send({ type: "start", id: "b", task: plainShell("true") });
    child.send({ type: "stop", id: "b", mode: "graceful", because: "a person asked" });
  });
  expect(heard).toMatchObject([
    {
      type: "done",
      id: "b",
      result: { outcome: "stopped", error: { name: "Stopped", message: "a person asked" } },
    },
  ]);
});

it("is waited for by no one who ends it", async () => {
  seam.faults = ["EAGAIN"];
  const { root } = tempRoot();
  const exit = vi.fn<() => void>();
  const settings = { threads: 1, bundles: root, scratch: root, token: `ended-${process.pid}` };
  const unheard = (): void => undefined;
  const listener = { started: unheard, messages: unheard, stray: unheard, exit };
  const child = new RunnerChild(settings, 1, false, listener);
  await new Promise(setImmediate);
  expect([seam.forks, child.open, child.pid]).toEqual([1, true, undefined]);
  await child.close();
  expect(exit).toHaveBeenCalledTimes(1);
  expect([seam.forks, child.open]).toEqual([1, false]);
});

/** A process that lives until it is told to end, and what it was written. */
function played(): unknown {
  const said: string[] = [];
  const stdin = new PassThrough().on("data", (chunk: Buffer) => void said.push(String(chunk)));
  const pipes = { stdin, stdout: new PassThrough(), stderr: new PassThrough() };
  return Object.assign(new EventEmitter(), { pid: NO_PID, unref: () => undefined, said, ...pipes });
}

/** A runner behind a command. @returns what is heard of it first */
function behindCommand(...faults: typeof seam.faults): Promise<unknown> {
  seam.faults = faults;
  seam.spawned = played;
  const place = { clock: systemClock, where: "over there", command: () => ({ words: ["it"] }) };
  const settings = { threads: 1, bundles: "/", scratch: "/", token: `far-${process.pid}` };
  return new Promise((resolve) => {
    const runner = new StreamRunner(place as unknown as StreamPlace, settings, 1, false, {
      started: resolve,
      messages: () => undefined,
      stray: () => undefined,
      exit: resolve,
    });
    onTestFinished(() => runner.kill());
  });
}

it("behind a command waits for a process for that", async () => {
  expect(await behindCommand("EAGAIN", "ENOMEM")).toBe(NO_PID);
  expect(seam.spawns).toBe(3);
});

it("behind a command that is not there has begun nothing", async () => {
  expect(await behindCommand("EAGAIN", "ENOENT")).toEqual({
    detail: "over there could not be started: spawn it ENOENT",
    outOfMemory: false,
    blameless: "unbegun",
  });
});

it("is ready once its guard is there, or cannot be, and tells it all", async () => {
  seam.faults = ["EAGAIN", "ENOMEM"];
  const process = played() as { readonly said: string[] };
  seam.spawned = () => process;
  const guard = new Guard("t", "/nowhere");
  guard.keeps("/tmp/a");
  guard.began(7);
  expect(process.said).toEqual([]);
  await guard.ready;
  expect([seam.spawns, process.said.join("")]).toEqual([3, "d /tmp/a\n+ 7\n"]);
  seam.faults = ["ENOENT"];
  await new Guard("t", "/nowhere").ready;
  expect(seam.spawns).toBe(4);
});
