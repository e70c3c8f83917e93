/**
 * The lock for commands that write on a root without a daemon (`orchd prune`, `orchd verify
 * --rebuild`): semantics.md 24 and 30.
 *
 * It is two locks, taken in this order. The kernel lock keeps out every other process of this host,
 * a daemon above all. proper-lockfile's folder keeps out other hosts that share the runs folder:
 * the kernel lock does not reach them everywhere. It is only a second check.
 */
import { writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
import { errorCode } from "../disk/disk-error.ts";
import { bootId } from "./daemon-info.ts";
import { acquireDaemonLock, type LockOptions } from "./lock.ts";
import { folderLockOwnerPath, folderLockPath } from "./stale-folder-lock.ts";

const STALE_MS = 10_000;
const UPDATE_MS = 2_000;

/** A process of another host writes to the folder. */
export class FolderLockHeld extends Error {
  override readonly name = "FolderLockHeld";
  constructor(orchdDir: string) {
    super(`A process of another host writes to ${orchdDir}. Try again when it has finished.`);
  }
}

/**
 * Runs `act`, which only one process may do at a time, while no daemon runs.
 *
 * @param act gets a signal that aborts if either lock is lost: it must then stop writing
 * @throws DaemonLockHeld if a daemon or another command runs; FolderLockHeld; what `act` throws
 */
export async function withFolderLock<T>(
  orchdDir: string,
  options: Omit<LockOptions, "role">,
  act: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const kernel = await acquireDaemonLock(orchdDir, { ...options, role: "command" });
  kernel.onLost(() => lost.abort(new Error(`the lock on ${orchdDir} was lost`)));
  try {
    const release = await lockFolder(orchdDir, lost);
    try {
      return await act(lost.signal);
    } finally {
      // If the lock was lost, it is another's, and releasing it fails.
      await release().catch(() => undefined);
    }
  } finally {
    await kernel.release();
  }
}

async function lockFolder(orchdDir: string, lost: AbortController): Promise<() => Promise<void>> {
  try {
    const release = await lockfile.lock(orchdDir, {
      lockfilePath: folderLockPath(orchdDir),
      realpath: false,
      stale: STALE_MS,
      update: UPDATE_MS,
      onCompromised: (error) => lost.abort(error),
    });
    writeFileSync(
      folderLockOwnerPath(orchdDir),
      `${JSON.stringify({ bootId: bootId(), pid: process.pid })}\n`,
    );
    return release;
  } catch (error) {
    if (errorCode(error) === "ELOCKED") throw new FolderLockHeld(orchdDir);
    throw error;
  }
}
