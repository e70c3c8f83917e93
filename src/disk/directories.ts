/**
 * Makes folders, and makes what was linked or renamed into them durable.
 *
 * A new name is on the disk only once its folder was synced. Many runs are created at once in one
 * folder, so syncs of a folder are shared: one is under way at most, and whoever asks meanwhile
 * waits for the next one, since the one under way may have begun before their change.
 *
 * A folder itself is a name in the one above. The process that made it may have died before that
 * was synced, so each process syncs the folder above once for each folder that it uses, and
 * remembers so.
 */
import { dirname } from "node:path";
import { errorCode } from "./disk-error.ts";
import type { Disk } from "./disk.ts";

interface Syncing {
  readonly current: Promise<void>;
  next: Promise<void> | undefined;
}

interface Known {
  readonly syncs: Map<string, Syncing>;
  /** Folders that are durable, or are about to be. */
  readonly durable: Map<string, Promise<void>>;
}

const known = new WeakMap<Disk, Known>();

function knownOf(disk: Disk): Known {
  let found = known.get(disk);
  if (found === undefined) known.set(disk, (found = { syncs: new Map(), durable: new Map() }));
  return found;
}

/**
 * Makes every name in the folder durable. Calls at the same time share syncs. @throws a Node error;
 * nothing may then be relied on
 */
export function syncDirectory(disk: Disk, directory: string): Promise<void> {
  const { syncs } = knownOf(disk);
  const running = syncs.get(directory);
  if (running === undefined) return begin(disk, syncs, directory);
  running.next ??= running.current.then(
    () => begin(disk, syncs, directory),
    () => begin(disk, syncs, directory),
  );
  return running.next;
}

function begin(disk: Disk, syncs: Map<string, Syncing>, directory: string): Promise<void> {
  const current = syncNow(disk, directory).finally(() => {
    // With somebody waiting, the next sync begins as a reaction to this promise, and replaces the
    // entry.
    if (entry.next === undefined) syncs.delete(directory);
  });
  const entry: Syncing = { current, next: undefined };
  syncs.set(directory, entry);
  return current;
}

async function syncNow(disk: Disk, directory: string): Promise<void> {
  const fd = await disk.open(directory, "r");
  try {
    await disk.fsync(fd).catch((error: unknown) => {
      // Never a want of room that waiting cures: a second sync would succeed and say nothing
      // (ledger-file.ts).
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
 * Sees to it that a folder and those above it are there, durably. Costs nothing the second time.
 *
 * @throws a Node error; the next call tries again, but where a sync failed (`EIO`): the folder is
 *   there then, a second sync would say that all is well, and its name may be lost all the same
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
 * Creates a new file, and its folder where that is missing. @throws a Node error, `EEXIST` if the
 * file is there
 */
export async function createFile(disk: Disk, path: string, mode: number): Promise<number> {
  const directory = dirname(path);
  await ensureDirectory(disk, directory);
  try {
    return await disk.open(path, "wx+", mode);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    // Somebody removed the folder since it was made.
    forgetDirectory(disk, directory);
    await ensureDirectory(disk, directory);
    return disk.open(path, "wx+", mode);
  }
}

/** Forgets that a folder and those above it were there. */
function forgetDirectory(disk: Disk, directory: string): void {
  const { durable } = knownOf(disk);
  for (let path = directory; durable.delete(path);) path = dirname(path);
}

/**
 * @param again the folder above was made a moment ago: where nothing can be made (`/proc`), that it
 *   is missing is the answer
 */
async function makeDirectory(disk: Disk, directory: string, again = false): Promise<void> {
  let existed = false;
  try {
    await disk.mkdir(directory);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" && !again && dirname(directory) !== directory) {
      // It may have been there once, and removed since.
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
    // A folder that somebody else made in one that this user may not read was made durable by them.
    if (!existed || (errorCode(error) !== "EACCES" && errorCode(error) !== "EPERM")) throw error;
  }
}
