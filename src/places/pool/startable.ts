import { OtherRelease } from "../../disk/built-program.ts";
import { hasDescriptors } from "../../disk/descriptors.ts";

/**
 * What a process is started with. Undefined where none can be started for now: no descriptors are
 * left, or another release was installed meanwhile. Then it is tried again later.
 */
export function ifStartable<T>(words: () => T): T | undefined {
  if (!hasDescriptors()) return undefined;
  try {
    return words();
  } catch (error) {
    if (error instanceof OtherRelease) return undefined;
    throw error;
  }
}
