/**
 * A runner that does not come up, since the machine starts no more processes or threads: nothing
 * was given to it, so it is started again, and no step hears of it.
 */
import type * as childProcess from "node:child_process";
import { EventEmitter } from "node:events";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { RunnerChild } from "../../src/places/local/runner-child.ts";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import { plainShell } from "../support/plain-shell.ts";
import { tempRoot } from "../support/temp-root.ts";

/** How the next starts end, before any works. */
const seam = vi.hoisted(() => ({
  faults: [] as ("EAGAIN" | "SIGABRT" | "ENOENT")[],
  forks: 0,
  /** The pids that were told. */
  started: [] as number[],
}));

vi.mock("node:child_process", async (original) => {
  const real = await original<typeof childProcess>();
  const fork = (...words: Parameters<typeof real.fork>): unknown => {
    seam.forks += 1;
    const fault = seam.faults.shift();
    if (fault === undefined) return real.fork(...words);
    if (fault === "SIGABRT") {
      const child = real.fork(...words);
      child.kill(fault);
      return child;
    }
    const child = Object.assign(new EventEmitter(), { pid: undefined, connected: false });
    const error = Object.assign(new Error(`spawn node ${fault}`), { code: fault });
    process.nextTick(() => child.emit("error", error));
    return child;
  };
  return { ...real, fork, default: { ...real, fork } };
});

beforeEach(() => {
  seam.forks = 0;
  seam.faults = [];
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
  expect(await firstOf("EAGAIN", "SIGABRT")).toMatchObject({
    type: "done",
    id: "a",
    result: { ok: true },
  });
  expect(seam.forks).toBe(3);
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
