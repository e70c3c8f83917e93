import { chownSync, fchownSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";
import { makeFolder } from "./make-folder.ts";

/**
 * Gives a file that root made to the owner of the folder that it lies in. Root checks and tries the
 * pipelines of a daemon that runs as another user, and that user has to read what is left. Does
 * nothing for another user than root.
 *
 * @param made its path, or its descriptor
 */
export function giveToOwner(made: string | number, folder: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(folder);
  try {
    if (typeof made === "number") fchownSync(made, uid, gid);
    else chownSync(made, uid, gid);
  } catch (error) {
    // A root without this right, as in some containers.
    if (errorCode(error) !== "EPERM") throw error;
  }
}

/**
 * Makes a folder as {@link makeFolder} does. Where root makes it, its owner is that of the one
 * above.
 */
export function makeOwnersFolder(path: string): void {
  if (makeFolder(path)) giveToOwner(path, dirname(path));
}
