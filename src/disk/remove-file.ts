import { unlinkSync } from "node:fs";
import { errorCode } from "./disk-error.ts";
import { systemDisk } from "./disk.ts";

/** Removes a file, if it is there. @throws a Node error if it cannot be removed */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** The same off the thread, where many go: a slow disk holds nobody up. */
export async function removeFileOffThread(path: string): Promise<void> {
  await systemDisk.unlink(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
}
