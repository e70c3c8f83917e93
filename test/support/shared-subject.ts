/**
 * What the cases of a `describe` share: a pool of runners, a worker, a place on another machine.
 *
 * Making one costs more than most cases do. It is made by the first case that asks for it, and is
 * gone after the last one. A case that failed may have broken it: the next one gets another.
 */
import { afterAll, afterEach } from "vitest";
import { ownedBy } from "./running-test.ts";

/**
 * Has the cases of this `describe` share what `make` makes. What that gives up at the end of a test
 * (by test/support/running-test.ts) it gives up once it is shared no more.
 *
 * @returns gives it to a case
 */
export function shared<T>(make: () => T | Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  const endings: (() => unknown)[] = [];
  const end = async (): Promise<void> => {
    made = undefined;
    for (let ending = endings.pop(); ending !== undefined; ending = endings.pop()) await ending();
  };
  afterAll(end);
  afterEach(async ({ task }) => {
    if ((task.result?.errors ?? []).length > 0) await end();
  });
  return () =>
    (made ??= ownedBy(
      (ending) => endings.push(ending),
      async () => make(),
    ));
}
