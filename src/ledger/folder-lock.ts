/**
 * For commands that write on a root without a daemon (`orchd prune`, `orchd verify --rebuild`):
 * semantics.md 24 and 30.
 *
 * Two locks, in this order. The kernel lock shuts out every other process of this host, a daemon
 * above all. proper-lockfile's folder shuts out other hosts that share the runs folder, which the
 * kernel lock does not reach everywhere; it is only ever a second opinion.
 */
import { writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
import { errorCode } from "../disk/disk-error.ts";
import { bootId } from "./daemon-info.ts";
import { acquireDaemonLock, type LockOptions } from "./lock.ts";
import { folderLockOwnerPath, folderLockPath } from "./stale-folder-lock.ts";

const STALE_MS = 10_000;
const UPDATE_MS = 2_000;

/** Another host writes to the folder. */
export class FolderLockHeld extends Error {
  override readonly name = "FolderLockHeld";
  constructor(orchdDir: string) {
    super(`${orchdDir} is being written by a process of another host. Try again when it is done.`);
  }
}

/**
 * Does something that only one process may do, while no daemon runs.
 *
 * @param act is given a signal that aborts if either lock is lost: it then has to stop writing
 * @throws DaemonLockHeld if a daemon or another command runs; FolderLockHeld; whatever `act` throws
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
      // A lock that was lost is no longer ours to release.
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
