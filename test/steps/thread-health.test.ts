import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { ThreadHealth } from "../../src/steps/thread-health.ts";

const EVENT = "orchd-test";
const CHANGED = { because: "a step changed the listeners of the process" };
const own = (): void => undefined;

beforeEach(() => void process.on(EVENT, own));
afterEach(() => void process.removeAllListeners(EVENT));

it.each<[string, () => void]>([
  ["removed one", () => void process.off(EVENT, own)],
  ["removed all of an event", () => void process.removeAllListeners(EVENT)],
  ["added one", () => void process.on(EVENT, () => undefined)],
  ["added one of a new event", () => void process.on(`${EVENT}-2`, own)],
])("a thread is not used again after a step that %s of the process's listeners", (_what, step) => {
  const health = new ThreadHealth();
  health.before();
  try {
    step();
    expect(health.after()).toEqual(CHANGED);
  } finally {
    process.removeAllListeners(`${EVENT}-2`);
  }
});

it("a thread is used again after a step that left the listeners as they were", () => {
  const health = new ThreadHealth();
  health.before();
  process.on(EVENT, own);
  process.off(EVENT, own);
  expect(health.after()).toBeUndefined();
});

it("a thread is not used again after a step that woke an old, unref'd timer", async () => {
  const health = new ThreadHealth();
  const timer = await new Promise<NodeJS.Timeout>((resolve) => {
    const set = setTimeout(() => resolve(set), 1);
  });
  timer.unref();
  health.before();
  expect(health.after()).toBeUndefined();
  timer.refresh();
  expect(health.after()).toEqual({
    because: "a step left something active that nobody waits for",
  });
  clearTimeout(timer);
});

it("a thread is not used again after a step that left as much as the one before it ended", () => {
  const health = new ThreadHealth();
  const modules = setInterval(own, 1_000_000);
  health.before();
  clearInterval(modules);
  expect(health.after()).toBeUndefined();
  const left = setInterval(own, 1_000_000);
  try {
    expect(health.after()).toEqual({
      because: "a step left something active: a timer, a server, a watcher or a process",
    });
  } finally {
    clearInterval(left);
  }
});

it("a thread that is used again ends with no exit code of a step", () => {
  const health = new ThreadHealth();
  health.before();
  process.exitCode = 3;
  expect(health.after()).toBeUndefined();
  expect(process.exitCode).toBeUndefined();
});

const MIB = 1024 * 1024;

it.each([
  [200, 57, { because: "its memory grew" }],
  [57, 200, { because: "its memory grew" }],
  [128, 128, undefined],
])("a thread that holds %i MiB of heap and %i MiB of Buffers: %o", (heap, buffers, left) => {
  const real = process.memoryUsage();
  const spy = vi
    .spyOn(process, "memoryUsage")
    .mockReturnValue({ ...real, heapUsed: heap * MIB, external: buffers * MIB });
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => {
    spy.mockRestore();
    vi.useRealTimers();
  });
  const health = new ThreadHealth();
  health.before();
  const after = (ms: number): unknown => {
    vi.advanceTimersByTime(ms);
    return health.after();
  };
  // A look costs as much as a small step, so one comes each tenth of a second at most.
  expect([after(99), spy.mock.calls.length]).toEqual([undefined, 0]);
  expect([after(1), spy.mock.calls.length]).toEqual([left, 1]);
  expect([after(99), spy.mock.calls.length]).toEqual([undefined, 1]);
  expect([after(1), spy.mock.calls.length]).toEqual([left, 2]);
});
