import { statfs } from "node:fs/promises";

/** With fewer bytes than this for a user, the disk is as good as full. */
const LEAST_BYTES = 65_536;

/** Why a folder's disk takes nothing more, as a clause; undefined: it has room, or nobody knows. */
export async function whyFull(folder: string): Promise<string | undefined> {
  try {
    const { bavail, bsize, files, ffree } = await statfs(folder);
    if (bavail * bsize < LEAST_BYTES) return `the disk of ${folder} is full`;
    // A file system without a table of files says 0 for both.
    return files > 0 && ffree === 0 ? `the disk of ${folder} takes no more files` : undefined;
  } catch {
    return undefined;
  }
}
