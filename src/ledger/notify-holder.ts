/** Who runs `orchd notify`, for readers: they take no lock and load nothing that could. */
import { join } from "node:path";
import { readProgramHolder, type ProgramHolder } from "./program-holder.ts";
import type { RunStore } from "./run-store.ts";

/** The `orchd notify` that runs; null where none does. Takes no lock. */
export function readNotifyHolder(store: RunStore): ProgramHolder | null {
  return readProgramHolder(notifyLockPath(store));
}

/** The file that is locked: it also says who holds it. */
export function notifyLockPath(store: RunStore): string {
  return join(store.orchdDir, "notify.lock");
}
