import { statSync, type Stats } from "node:fs";

/** What a ledger's file looked like when it was read. */
export type SeenFile = Pick<Stats, "ino" | "size" | "mtimeMs">;

/** Whether a file is not as it was seen. Nothing is said of a file that is not there. */
export function isTouched(path: string, seen: SeenFile | undefined): boolean {
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch {
    // A folder that may not be entered.
  }
  if (stats === undefined) return false;
  return seen?.ino !== stats.ino || seen.size !== stats.size || seen.mtimeMs !== stats.mtimeMs;
}
