/**
 * What a folder lock leaves behind when its process dies (folder-lock.ts). It has a file of its
 * own, because the daemon needs only this and not proper-lockfile.
 */
import { readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../disk/disk-error.ts";
import { bootId } from "./daemon-info.ts";

/** The folder that exists while a process holds the folder lock; proper-lockfile makes it. */
export function folderLockPath(orchdDir: string): string {
  return join(orchdDir, "folder.lock");
}

/** The file that names the host's boot and the process that holds the folder lock. */
export function folderLockOwnerPath(orchdDir: string): string {
  return join(orchdDir, "folder.lock.json");
}

/**
 * Removes a folder lock that a process of this host left behind when it died. Only the holder of
 * the kernel lock may call it: every process of this host takes that lock first, so no other can
 * still use the folder lock. A folder lock of another host is left: it becomes stale by itself.
 */
export function removeStaleFolderLock(orchdDir: string): void {
  try {
    const owner = JSON.parse(readFileSync(folderLockOwnerPath(orchdDir), "utf8")) as {
      bootId?: unknown;
    };
    if (owner.bootId !== bootId()) return;
  } catch {
    return;
  }
  try {
    rmdirSync(folderLockPath(orchdDir));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  rmSync(folderLockOwnerPath(orchdDir), { force: true });
}
