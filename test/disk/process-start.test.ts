/** What waits where the machine has no process: every errno of a start, and who stops waiting. */
import { spawn, type ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { startedProcess, startsLater, whatLacks } from "../../src/disk/process-start.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const fault = (code: string): Error => Object.assign(new Error(`spawn it ${code}`), { code });

/** A start that Node tells of by an event. */
function unstarted(code: string): ChildProcess {
  const child = Object.assign(new EventEmitter(), { pid: undefined });
  process.nextTick(() => child.emit("error", fault(code)));
  return child as unknown as ChildProcess;
}

/** Starts that fail so, before one works. */
function starts(...faults: readonly (() => ChildProcess)[]): () => ChildProcess {
  const left = [...faults];
  return () => (left.shift() ?? (() => ({ pid: 7 }) as ChildProcess))();
}
const told = (code: string) => () => unstarted(code);
const thrown = (code: string) => (): never => {
  throw fault(code);
};

it("starts a process once the machine can, and says once why it waits", async () => {
  const waits = vi.fn<(because: string) => void>();
  const start = vi.fn<() => ChildProcess>(
    starts(told("EAGAIN"), thrown("ENOMEM"), told("ENFILE"), told("EMFILE")),
  );
  const started = startedProcess(start, { isWanted: () => true, waits });
  await vi.advanceTimersByTimeAsync(3_999);
  expect(start).toHaveBeenCalledTimes(4);
  await vi.advanceTimersByTimeAsync(1);
  expect((await started).pid).toBe(7);
  expect(waits.mock.calls).toEqual([
    ["the machine starts no more processes (see TasksMax= in the unit, ulimit -u)"],
  ]);
});

it.each([
  ["told of", told("ENOENT")],
  ["thrown", thrown("E2BIG")],
])("waits for nothing where another fault is %s", async (_, first) => {
  const start = vi.fn<() => ChildProcess>(starts(first));
  await expect(startedProcess(start, { isWanted: () => true })).rejects.toThrow(/^spawn it E/);
  expect(start).toHaveBeenCalledTimes(1);
});

it("is waited for by nobody who does not want it any more", async () => {
  let isWanted = true;
  const start = vi.fn<() => ChildProcess>(starts(told("EAGAIN")));
  const started = startedProcess(start, { isWanted: () => isWanted });
  const ended = started.catch((error: Error) => error.message);
  await vi.advanceTimersByTimeAsync(500);
  isWanted = false;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await ended).toBe("spawn it EAGAIN");
  expect(start).toHaveBeenCalledTimes(1);
});

it("gives a process in the turn in which it was started: nothing of it is missed", async () => {
  vi.useRealTimers();
  const child = await startedProcess(
    () => spawn("/bin/echo", ["first"], { stdio: ["ignore", "pipe", "ignore"] }),
    { isWanted: () => true },
  );
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  expect(text).toBe("first\n");
});

it("tells what the machine lacks", () => {
  const codes = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ERR_WORKER_INIT_FAILED"];
  expect(codes.filter((code) => !startsLater(fault(code)))).toEqual([]);
  expect(["ENOENT", "EACCES", "E2BIG"].filter((code) => startsLater(fault(code)))).toEqual([]);
  expect(whatLacks(fault("ENOMEM"))).toBe("the machine has no memory for another process");
  expect(whatLacks(fault("EMFILE"))).toContain("raise LimitNOFILE=");
});
