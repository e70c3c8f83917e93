import { afterEach, beforeEach, expect, it } from "vitest";
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
