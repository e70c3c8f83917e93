import { unlinkSync } from "node:fs";
import { errorCode } from "./disk-error.ts";

/** Removes a file, if it is there. @throws a Node error if it cannot be removed */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
