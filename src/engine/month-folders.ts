/**
 * Makes a month's folders before its first runs need them: the first slot of a month then costs no
 * more than any other.
 */
import { iso } from "../core/time.ts";
import { ensureDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { systemDisk, type Disk } from "../disk/disk.ts";
import { LedgerFailed } from "../ledger/ledger-error.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Log } from "../log.ts";

const AT_ONCE = 4;

/** What making the folders needs. */
export interface MonthFoldersPorts {
  readonly log: Log;
  readonly store: RunStore;
  readonly disk?: Disk | undefined;
  readonly onFatal: (error: LedgerFailed) => void;
}

/**
 * Makes the month folders of these pipelines for one moment. Never rejects: a run that needs its
 * folder makes it, or says why it cannot. A sync that failed is fatal here as everywhere
 * (semantics.md 29).
 *
 * @param at milliseconds since 1970
 * @param goesOn whether the folders are still wanted
 */
export async function makeMonthFolders(
  pipelines: readonly string[],
  at: number,
  { log, store, disk = systemDisk, onFatal }: MonthFoldersPorts,
  goesOn: () => boolean,
): Promise<void> {
  const month = iso(at).slice(0, 7);
  const rest = pipelines.values();
  const walk = async (): Promise<void> => {
    for (const pipeline of rest) {
      if (!goesOn()) return;
      try {
        await ensureDirectory(disk, `${store.pipelineDir(pipeline)}/${month}`);
      } catch (error) {
        if (errorCode(error) === "EIO")
          onFatal(new LedgerFailed(store.runsDir, "Making a month's folder in", error));
        else log.warn({ pipeline, err: error }, "a month's folder could not be made ahead");
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, walk));
}
