/** Whose signal a context gives, however it is asked. */
import { expect, it } from "vitest";
import { withSignal } from "../../src/steps/context-signal.ts";

class Task {
  made = 0;
  readonly controller = new AbortController();

  signal(): AbortSignal {
    this.made += 1;
    return this.controller.signal;
  }
}

const contextOf = (task: Task): { readonly n: number; readonly signal: AbortSignal } =>
  withSignal({ n: 1 }, task) as { readonly n: number; readonly signal: AbortSignal };

it("a context gives the signal of its own task, also once another one has begun", () => {
  const [one, other] = [new Task(), new Task()];
  const [first, second] = [contextOf(one), contextOf(other)];
  expect(one.made + other.made).toBe(0);
  expect(first.signal).toBe(one.controller.signal);
  expect(second.signal).toBe(other.controller.signal);
});

it("so does what inherits from it, is a copy of it, or stands before it", () => {
  const [one, other] = [new Task(), new Task()];
  const first = contextOf(one);
  const heir = Object.create(Object.create(first) as object) as typeof first;
  expect(new Proxy(first, {}).signal).toBe(one.controller.signal);
  contextOf(other);
  expect(heir.signal).toBe(one.controller.signal);
  expect({ ...first }).toEqual({ n: 1, signal: one.controller.signal });
  expect(Object.assign({}, first).signal).toBe(one.controller.signal);
});

it("the signal is a member like the others, and nothing else is added", () => {
  const context = contextOf(new Task());
  expect(Reflect.ownKeys(context)).toEqual(["n", "signal"]);
  expect(Object.getOwnPropertyDescriptor(context, "signal")).toMatchObject({
    configurable: true,
    enumerable: true,
  });
  expect(Reflect.deleteProperty(context, "signal")).toBe(true);
  expect(context.signal).toBeUndefined();
});

it("what steps can reach of it takes no member: other pipelines reach it too", () => {
  const { get } = Object.getOwnPropertyDescriptor(contextOf(new Task()), "signal")!;
  expect(Object.isFrozen(get)).toBe(true);
  expect(get).not.toHaveProperty("prototype");
});
