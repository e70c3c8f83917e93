import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";

/**
 * Makes a folder, and those above it, if they are missing. Node's own recursive `mkdirSync` never
 * ends on a file system that answers, as /proc does, that the folder to make is missing.
 *
 * @param mode of the folders that are made, before the umask
 * @returns whether the folder was made; false if it existed
 * @throws a Node error
 */
export function makeFolder(path: string, mode = 0o777): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") {
      // If the name is a file, or a link to nothing, this throws: the caller wants to know.
      mkdirSync(path, { recursive: true, mode });
      return false;
    }
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  makeFolder(dirname(path), mode);
  mkdirSync(path, { mode });
  return true;
}
