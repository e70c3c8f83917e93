/**
 * The folder lock's leftovers (folder-lock.ts). It has a file of its own because the daemon needs
 * only this much, and not proper-lockfile.
 */
import { readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../disk/disk-error.ts";
import { bootId } from "./daemon-info.ts";

/** The folder that proper-lockfile makes while somebody holds the folder lock. */
export function folderLockPath(orchdDir: string): string {
  return join(orchdDir, "folder.lock");
}

/** Names the boot of the host whose process holds the folder lock. */
export function folderLockOwnerPath(orchdDir: string): string {
  return join(orchdDir, "folder.lock.json");
}

/**
 * Removes a folder lock that a process of this host left behind when it died. Only for the holder
 * of the kernel lock: every process of this host takes that first, so nobody else here can still be
 * using the folder lock. One of another host is left to grow stale.
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
