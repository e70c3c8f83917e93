/**
 * Wants the daemon's lock, and acts while it has it: it appends lines with its name to
 * `ledger.jsonl`. It prints `refused` and ends, or it prints `held`, and `acted` after its first
 * line. It ends at once when the lock is lost or the ledger fails, as a daemon does. Arguments: the
 * runs folder, its name, and protections to take out: `no-lock` does not ask for the lock,
 * `open-ledger` lets others open the ledger too.
 */
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { LedgerExists } from "../../../src/ledger/ledger-error.ts";
import { LedgerFile, type LedgerOptions } from "../../../src/ledger/ledger-file.ts";
import { acquireDaemonLock, DaemonLockHeld, type DaemonLock } from "../../../src/ledger/lock.ts";

interface Note {
  readonly type: string;
  readonly who?: string;
}

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

/** Creates the ledger, or opens it. Where nobody asks for the lock, two may create it at once. */
async function ledger(): Promise<LedgerFile<Note>> {
  if (!existsSync(path)) {
    try {
      return await LedgerFile.create(path, [{ type: "run.submitted", who }], options);
    } catch (error) {
      if (!(error instanceof LedgerExists)) throw error;
    }
  }
  return (await LedgerFile.open(path, options)).file;
}

const lock = await take();
lock?.onLost(() => process.exit(7));
const path = join(runs, "ledger.jsonl");
const options: LedgerOptions<Note> = {
  clock: systemClock,
  locked: !planted.includes("open-ledger"),
  onFatal: () => process.exit(8),
};
writeSync(1, "held\n");
const file = await ledger();
for (let first = true; ; first = false) {
  await file.append([{ type: "note", who }]);
  if (first) writeSync(1, "acted\n");
  await new Promise((resolve) => setTimeout(resolve, PACE_MS));
}
