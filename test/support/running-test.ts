/**
 * `expect` and `onTestFinished` of the test whose code is running.
 *
 * Vitest's own are those of the test that started last. Where tests of a file run side by side
 * (`describe.concurrent`), that can be another test: what one test made would be removed at the end
 * of another. So whatever such tests use, here and in test/support, takes these.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  aroundEach,
  expect as lastExpect,
  onTestFinished as onLastFinished,
  type TestContext,
} from "vitest";

/** Who is asked: a test, or what several tests share. */
interface Owner {
  readonly expect?: TestContext["expect"];
  readonly onTestFinished: TestContext["onTestFinished"];
}

const running = new AsyncLocalStorage<Owner>();

// It counts for each file that imports this. Following a test costs time: only where it must be.
aroundEach((runTest, context) =>
  context.task.concurrent === true ? running.run(context, runTest) : runTest(),
);

/** Calls back when the test is over. @throws Error outside of a test */
export const onTestFinished: typeof onLastFinished = (callback, timeout) => {
  const test = running.getStore();
  if (test === undefined) onLastFinished(callback, timeout);
  else test.onTestFinished(callback, timeout);
};

const its = (): typeof lastExpect => running.getStore()?.expect ?? lastExpect;

/** Vitest's, for the test whose code is running. */
export const expect: typeof lastExpect = new Proxy(lastExpect, {
  apply: (_target, _self, given: Parameters<typeof lastExpect>) => its()(...given),
  get: (_target, name) => Reflect.get(its(), name) as unknown,
});

/**
 * Runs `make`, and has what it gives up at the end of a test given to `atEnd` instead: for what is
 * to outlive the test that makes it (test/support/shared-subject.ts).
 */
export function ownedBy<T>(atEnd: (ending: () => unknown) => void, make: () => T): T {
  // Without a test's own context: a callback of this project takes none.
  const onTestFinished = atEnd as unknown as TestContext["onTestFinished"];
  return running.run({ onTestFinished }, make);
}
