/**
 * Makes folders, and makes new names in a folder durable.
 *
 * A name that was linked or renamed into a folder is on the disk only after the folder was synced.
 * Many runs are created in one folder at the same time, so callers share the syncs of a folder. One
 * sync at most is under way. A caller that comes meanwhile waits for the next one: the sync under
 * way may have begun before that caller's change.
 *
 * A folder is itself a name in the folder above. The process that made it may have died before it
 * synced the folder above. So each process syncs the folder above once for each folder that it
 * uses, and remembers that it did. A folder that has not been touched since before a sync of the
 * folder above needs no other one: a daemon that starts over hundreds of pipelines has synced the
 * folder of each for its ledger, and would sync it again for the month's folder in it.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";
import type { Disk } from "./disk.ts";

interface Syncing {
  readonly current: Promise<void>;
  next: Promise<void> | undefined;
}

interface Known {
  readonly syncs: Map<string, Syncing>;
  /** When the last sync of a folder that succeeded began: wall time, in milliseconds. */
  readonly syncedAt: Map<string, number>;
  /** Folders that are durable, or are being made durable. */
  readonly durable: Map<string, Promise<void>>;
}

const known = new WeakMap<Disk, Known>();
/**
 * How much older than a sync the last touch of a folder must be, in milliseconds. The times of
 * files may be rounded to two seconds, and whatever is older than half a minute has been written
 * back by the kernel, even where somebody moved the folder above here from elsewhere.
 */
const TOUCH_SLACK_MS = 60_000;

function knownOf(disk: Disk): Known {
  let found = known.get(disk);
  if (found === undefined)
    known.set(disk, (found = { syncs: new Map(), syncedAt: new Map(), durable: new Map() }));
  return found;
}

/** A folder that is being opened for a sync of it; undefined where that did not succeed. */
export type OpenedFolder = Promise<number | undefined>;

/**
 * Opens a folder for a sync that follows: beside the writes before it, that costs no time. Give it
 * to {@link syncDirectory} or {@link closeFolder}.
 */
export function openFolder(disk: Disk, directory: string): OpenedFolder {
  return disk.open(directory, "r").catch(() => undefined);
}

/** Closes a folder that is not synced after all. Never rejects: nothing was written by it. */
export async function closeFolder(disk: Disk, opened: OpenedFolder): Promise<void> {
  const fd = await opened;
  if (fd !== undefined) await disk.close(fd).catch(() => undefined);
}

/**
 * Makes every name in the folder durable. Calls at the same time share syncs. @throws a Node error;
 * rely on no new name then
 *
 * @param opened the folder, where it was opened before; it is closed
 */
export function syncDirectory(disk: Disk, directory: string, opened?: OpenedFolder): Promise<void> {
  const { syncs } = knownOf(disk);
  const running = syncs.get(directory);
  if (running === undefined) return begin(disk, syncs, directory, opened);
  running.next ??= running.current.then(
    () => begin(disk, syncs, directory),
    () => begin(disk, syncs, directory),
  );
  return opened === undefined ? running.next : syncedAndClosed(disk, running.next, opened);
}

async function syncedAndClosed(
  disk: Disk,
  synced: Promise<void>,
  opened: OpenedFolder,
): Promise<void> {
  try {
    await synced;
  } finally {
    await closeFolder(disk, opened);
  }
}

/**
 * A folder's names are durable as they are, since an earlier process synced them.
 *
 * @param at wall time, in milliseconds: nothing in the folder has changed since
 */
export function noteSynced(disk: Disk, directory: string, at: number): void {
  knownOf(disk).syncedAt.set(directory, at);
}

function begin(
  disk: Disk,
  syncs: Map<string, Syncing>,
  directory: string,
  opened?: OpenedFolder,
): Promise<void> {
  const at = Date.now();
  const current = syncNow(disk, directory, opened)
    .then(() => void knownOf(disk).syncedAt.set(directory, at))
    .finally(() => {
      // If a caller waits, the next sync begins when this promise settles, and replaces the entry.
      if (entry.next === undefined) syncs.delete(directory);
    });
  const entry: Syncing = { current, next: undefined };
  syncs.set(directory, entry);
  return current;
}

async function syncNow(disk: Disk, directory: string, opened?: OpenedFolder): Promise<void> {
  const fd = (await opened) ?? (await disk.open(directory, "r"));
  try {
    await disk.fsync(fd).catch((error: unknown) => {
      // Always EIO, so that nobody waits for room and syncs again: a second sync would succeed and
      // prove nothing (ledger-file.ts).
      throw Object.assign(
        new Error(`the sync of ${directory} failed: ${(error as Error).message}`, { cause: error }),
        { code: "EIO" },
      );
    });
  } finally {
    await disk.close(fd);
  }
}

/**
 * Makes a folder and those above it durable, and creates those that are missing. The second call
 * for a folder costs nothing.
 *
 * @throws a Node error. The next call tries again, except after a failed sync (`EIO`): then the
 *   folder exists, a second sync would succeed, and its name may be lost all the same
 */
export function ensureDirectory(disk: Disk, directory: string): Promise<void> {
  const { durable } = knownOf(disk);
  let made = durable.get(directory);
  if (made === undefined) {
    made = makeDirectory(disk, directory);
    durable.set(directory, made);
    made.catch((error: unknown) => {
      if (errorCode(error) !== "EIO") durable.delete(directory);
    });
  }
  return made;
}

/**
 * Creates a new file, and its folder if that is missing. @throws a Node error, `EEXIST` if the file
 * exists
 */
export async function createFile(disk: Disk, path: string, mode: number): Promise<number> {
  const directory = dirname(path);
  await ensureDirectory(disk, directory);
  try {
    return await disk.open(path, "wx+", mode);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    // Somebody removed the folder after it was made.
    forgetDirectory(disk, directory);
    await ensureDirectory(disk, directory);
    return disk.open(path, "wx+", mode);
  }
}

/** Forgets that a folder and those above it are durable. */
function forgetDirectory(disk: Disk, directory: string): void {
  const { durable } = knownOf(disk);
  for (let path = directory; durable.delete(path);) path = dirname(path);
}

/**
 * @param again the folder above was made a moment ago. Where no folder can be made (`/proc`), the
 *   kernel still says that something is missing, and that error is thrown
 */
async function makeDirectory(disk: Disk, directory: string, again = false): Promise<void> {
  if (isSyncedByNow(disk, directory)) return;
  let existed = false;
  try {
    await disk.mkdir(directory);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" && !again && dirname(directory) !== directory) {
      // The folder above may have been durable once, and removed since.
      forgetDirectory(disk, dirname(directory));
      await ensureDirectory(disk, dirname(directory));
      return makeDirectory(disk, directory, true);
    }
    if (code !== "EEXIST") throw error;
    existed = true;
  }
  try {
    await syncDirectory(disk, dirname(directory));
  } catch (error) {
    // This user may not open the folder above. Then somebody else made this folder, and made it
    // durable.
    if (!existed || (errorCode(error) !== "EACCES" && errorCode(error) !== "EPERM")) throw error;
  }
}

/** Whether a folder is there, and has been as it is since before a sync of the folder above. */
function isSyncedByNow(disk: Disk, directory: string): boolean {
  const at = knownOf(disk).syncedAt.get(dirname(directory));
  if (at === undefined) return false;
  try {
    const stats = statSync(directory, { throwIfNoEntry: false });
    return stats?.isDirectory() === true && stats.ctimeMs < at - TOUCH_SLACK_MS;
  } catch {
    return false;
  }
}
