/**
 * How a ledger is created: it is written aside under a dot-name, synced, and then linked to its
 * name. So every ledger has a whole header, only one of several creators succeeds, and no ledger
 * has its name before it has its lock.
 *
 * A ledger that replaces another is renamed over it, after the old one got a second name: at every
 * moment there is one.
 *
 * Rejected: creating it under its name and then writing it (a crash in between leaves an empty
 * ledger, and a reader meets half a header); a rename for a new ledger, too (it would replace
 * another creator's).
 */
import { basename, dirname, join } from "node:path";
import { tryLock } from "fs-native-extensions";
import {
  closeFolder,
  createFile,
  openFolder,
  syncDirectory,
  type OpenedFolder,
} from "../disk/directories.ts";
import { errorCode, lacksDescriptor } from "../disk/disk-error.ts";
import { systemDisk, writeAll, type Disk } from "../disk/disk.ts";
import { untilRoom } from "../disk/until-room.ts";
import { isPathFault } from "../disk/path-fault.ts";
import { LedgerBlocked, LedgerExists, LedgerFailed } from "./ledger-error.ts";
import { fatal, type LedgerHost } from "./ledger-host.ts";

const MODE = 0o640;

/**
 * How many ledgers are created at the same time. libuv has four threads for the calls. With more
 * creations than threads, a thread has its next call before the main thread has answered the last.
 */
const AT_ONCE = 16;
let underWay = 0;
const waiting: (() => void)[] = [];
let dotNames = 0;

/** How a ledger is created. */
export interface LedgerCreation {
  /** The whole content. */
  readonly bytes: Buffer;
  /** Lock it in the kernel before it gets its name. */
  readonly locked: boolean;
  /**
   * It replaces an existing ledger, which is kept at this path. Without it, `path` must be free.
   */
  readonly keepAs?: string | undefined;
}

/**
 * Creates a ledger at a path, durably, folder included. Waits while the disk is full.
 *
 * @returns its descriptor
 * @throws LedgerExists if the name is taken; LedgerBlocked if its path is bad; LedgerFailed, after
 *   `onFatal`
 */
export async function createLedger(
  path: string,
  creation: LedgerCreation,
  host: LedgerHost,
): Promise<number> {
  const disk = host.disk ?? systemDisk;
  let made: Made;
  await waitForTurn();
  try {
    made = await untilRoom(host, () => writeAside(disk, path, creation));
  } catch (error) {
    if (error instanceof LedgerExists) throw error;
    if (isPathFault(error)) throw new LedgerBlocked(path, error);
    throw fatal(host, new LedgerFailed(path, "Creating", error));
  } finally {
    endTurn();
  }
  const { fd, folder, cleared } = made;
  try {
    await syncNameOf(path, host, folder);
    await cleared;
  } catch (error) {
    await cleared;
    if (!isPathFault(error)) {
      await disk.close(fd).catch(() => undefined);
      throw fatal(host, new LedgerFailed(dirname(path), "Syncing", error));
    }
    // The folder can be written and not be opened, so the name is not durable. A ledger that nobody
    // was told of must not keep it.
    if (creation.keepAs === undefined) await disk.unlink(path).catch(() => undefined);
    await disk.close(fd);
    throw new LedgerBlocked(path, error);
  }
  return fd;
}

/**
 * Makes a file's name durable. If no descriptor is left to open the folder, it waits: nothing was
 * synced yet. A sync that failed is not tried again.
 *
 * @param opened its folder, where it was opened before
 */
export function syncNameOf(path: string, host: LedgerHost, opened?: OpenedFolder): Promise<void> {
  let folder = opened;
  return untilRoom(
    host,
    () => {
      const first = folder;
      folder = undefined;
      return syncDirectory(host.disk ?? systemDisk, dirname(path), first);
    },
    lacksDescriptor,
  );
}

/** A ledger that has its name, which is not durable yet. */
interface Made {
  readonly fd: number;
  readonly folder: OpenedFolder;
  /** Resolves once its dot-name is gone. */
  readonly cleared: Promise<void> | undefined;
}

/**
 * One call waits for the one before it only where it has to: each goes to a thread and comes back.
 * So the folder is opened beside the file's sync, which takes longest, and the dot-name goes beside
 * the folder's sync.
 */
async function writeAside(
  disk: Disk,
  path: string,
  { bytes, locked, keepAs }: LedgerCreation,
): Promise<Made> {
  const directory = dirname(path);
  const aside = join(directory, `.${basename(path)}.${process.pid}-${(dotNames += 1)}`);
  const fd = await createFile(disk, aside, MODE);
  let folder: OpenedFolder | undefined;
  // A dot-name that is left behind does no harm, and recovery removes it.
  const clear = (): Promise<void> => disk.unlink(aside).catch(() => undefined);
  try {
    if (locked) tryLock(fd);
    await writeAll(disk, fd, bytes, 0);
    const synced = disk.fdatasync(fd);
    folder = openFolder(disk, directory);
    await synced;
    if (keepAs === undefined) {
      await disk.link(aside, path);
    } else {
      await linkOnce(disk, path, keepAs);
      await disk.rename(aside, path);
    }
  } catch (error) {
    await disk.close(fd);
    if (folder !== undefined) await closeFolder(disk, folder);
    await clear();
    throw errorCode(error) === "EEXIST" ? new LedgerExists(path) : error;
  }
  return { fd, folder, cleared: keepAs === undefined ? clear() : undefined };
}

/**
 * Links a file, unless it has that name already. The caller chose a free name, or the name that an
 * earlier try gave it before a crash.
 */
async function linkOnce(disk: Disk, path: string, keepAs: string): Promise<void> {
  await disk.link(path, keepAs).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST") throw error;
  });
}

function waitForTurn(): Promise<void> {
  underWay += 1;
  return underWay <= AT_ONCE
    ? Promise.resolve()
    : new Promise((resolve) => void waiting.push(resolve));
}

function endTurn(): void {
  underWay -= 1;
  waiting.shift()?.();
}
