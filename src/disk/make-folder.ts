/** Makes a folder and those above it, one after the other. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";

/**
 * Makes a folder where it is missing, and those above it. Node's own recursive `mkdirSync` never
 * ends where a file system answers, as /proc does, that what is to be made is missing.
 *
 * @param mode of the folders that are made, before the umask
 * @returns whether it was made
 * @throws a Node error
 */
export function makeFolder(path: string, mode = 0o777): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") {
      // A file of that name, or a link to nothing, is no folder: the readers of the error want to
      // know.
      mkdirSync(path, { recursive: true, mode });
      return false;
    }
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  makeFolder(dirname(path), mode);
  mkdirSync(path, { mode });
  return true;
}
