/**
 * A part of the page that is loaded when it is first asked for.
 *
 * Node 20 remembers an import that failed, until the process ends. So it is made sure before that
 * there are descriptors for it (`beforeLoad`), and only then: a part that is loaded needs none.
 */
import type { PageSource } from "./route.ts";

/** Makes sure that a part can be loaded. @throws a Node error if it cannot be now */
export type BeforeLoad = PageSource["beforeLoad"];

/**
 * A part that is loaded once. What could not be loaded is loaded when it is asked for again.
 *
 * @param load imports it
 */
export function latePart<T>(load: () => Promise<T>): (before: BeforeLoad) => Promise<T> {
  let loaded: Promise<T> | undefined;
  const loadNow = async (before: BeforeLoad): Promise<T> => {
    before?.();
    return load();
  };
  return (before) =>
    (loaded ??= loadNow(before).catch((error: unknown) => {
      loaded = undefined;
      throw error;
    }));
}
