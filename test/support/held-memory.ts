/** What V8 holds of objects. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects all garbage, now. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/**
 * Whether objects share one shape. An object with a shape of its own holds hundreds of bytes more.
 */
export function haveOneShape(objects: readonly object[]): boolean {
  setFlagsFromString("--allow-natives-syntax");
  const isSame = runInNewContext("((a, b) => %HaveSameMap(a, b))") as (
    a: object,
    b: object | undefined,
  ) => boolean;
  // V8 reads a function's text when it is called.
  const isOne = objects.every((object) => isSame(object, objects[0]));
  setFlagsFromString("--no-allow-natives-syntax");
  return isOne;
}
