import { statfsSync, type StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";

/** With fewer bytes than this for a user, the disk is as good as full. */
const LEAST_BYTES = 65_536;

/** Why a folder's disk takes nothing more, as a clause; undefined: it has room, or nobody knows. */
export async function whyFull(folder: string): Promise<string | undefined> {
  try {
    return reasonOf(folder, await statfs(folder));
  } catch {
    return undefined;
  }
}

/** As {@link whyFull}, for a command that does nothing else meanwhile. */
export function whyFullNow(folder: string): string | undefined {
  try {
    return reasonOf(folder, statfsSync(folder));
  } catch {
    return undefined;
  }
}

function reasonOf(folder: string, { bavail, bsize, files, ffree }: StatsFs): string | undefined {
  if (bavail * bsize < LEAST_BYTES) return `the disk of ${folder} is full`;
  // A file system without a table of files says 0 for both.
  return files > 0 && ffree === 0 ? `the disk of ${folder} takes no more files` : undefined;
}
