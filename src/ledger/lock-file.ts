/** Whether a lock's file, which is open, still has its name: who finds another there locks that. */
import { fstatSync, statSync, type Stats } from "node:fs";
import { errorCode } from "../disk/disk-error.ts";

/** What the system says where the name cannot be a file's any more. */
const ELSEWHERE: ReadonlySet<string> = new Set(["ENOTDIR", "ELOOP"]);

/**
 * Whether a file is the one of this path. Undefined: that cannot be found out now, since its folder
 * may not be entered or its disk fails. The kernel's lock on the file holds all the same.
 */
export function isFileAt(fd: number, path: string): boolean | undefined {
  let there: Stats | undefined;
  try {
    there = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return ELSEWHERE.has(errorCode(error) ?? "") ? false : undefined;
  }
  const own = fstatSync(fd);
  return there !== undefined && there.ino === own.ino && there.dev === own.dev;
}
