import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";

/**
 * Makes a folder, and those above it, if they are missing. Node's own recursive `mkdirSync` never
 * ends on a file system that answers, as /proc does, that the folder to make is missing. Another
 * process may make the same at the same time.
 *
 * @param mode of the folders that are made, before the umask
 * @returns whether the folder was made; false if it existed
 * @throws a Node error
 */
export function makeFolder(path: string, mode = 0o777): boolean {
  try {
    return isMade(path, mode);
  } catch (error) {
    if (errorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
  }
  makeFolder(dirname(path), mode);
  return isMade(path, mode);
}

/** Makes a folder in one that is there. False: it existed. @throws a Node error */
function isMade(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    // If the name is a file, or a link to nothing, this throws: the caller wants to know.
    mkdirSync(path, { recursive: true, mode });
    return false;
  }
}
