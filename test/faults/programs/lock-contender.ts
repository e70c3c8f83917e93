/**
 * Wants the daemon's lock, and acts while it has it: it appends to `ledger.jsonl`, again and again,
 * lines that bear its name. Says on stdout `refused` and ends, or `held`, and `acted` after its
 * first line. Ends at once when the lock is lost or the ledger fails, as a daemon does. Arguments:
 * the runs folder, its name, and protections to take out: `no-lock` asks nobody, `open-ledger`
 * leaves the ledger to others too.
 */
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { LedgerFile, type LedgerOptions } from "../../../src/ledger/ledger-file.ts";
import { acquireDaemonLock, DaemonLockHeld, type DaemonLock } from "../../../src/ledger/lock.ts";

const PACE_MS = 2;
const [runs = "", who = "", ...planted] = process.argv.slice(2);

async function take(): Promise<DaemonLock | undefined> {
  if (planted.includes("no-lock")) return undefined;
  try {
    return await acquireDaemonLock(join(runs, ".orchd"), { clock: systemClock });
  } catch (error) {
    if (!(error instanceof DaemonLockHeld)) throw error;
    writeSync(1, "refused\n");
    process.exit(3);
  }
}

const lock = await take();
lock?.onLost(() => process.exit(7));
const path = join(runs, "ledger.jsonl");
const options: LedgerOptions<{ readonly type: string; readonly who?: string }> = {
  clock: systemClock,
  locked: !planted.includes("open-ledger"),
  onFatal: () => process.exit(8),
};
writeSync(1, "held\n");
const file = existsSync(path)
  ? (await LedgerFile.open(path, options)).file
  : await LedgerFile.create(path, [{ type: "run.submitted", who }], options);
for (let first = true; ; first = false) {
  await file.append([{ type: "note", who }]);
  if (first) writeSync(1, "acted\n");
  await new Promise((resolve) => setTimeout(resolve, PACE_MS));
}
