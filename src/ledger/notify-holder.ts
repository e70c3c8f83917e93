/** Who runs `orchd notify`, for readers: they take no lock and load nothing that could. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "./daemon-info.ts";
import type { RunStore } from "./run-store.ts";

/** The process that holds the lock. */
export interface NotifyHolder {
  readonly pid: number;
  /** As {@link Holder.startTime} of the daemon's. */
  readonly startTime: string | null;
  readonly bootId: string | null;
  /** When the lock was taken; ISO 8601, UTC. */
  readonly since: string;
  readonly version: string;
}

/** The `orchd notify` that runs; null where none does. Takes no lock. */
export function readNotifyHolder(store: RunStore): NotifyHolder | null {
  try {
    const holder = JSON.parse(readFileSync(notifyLockPath(store), "utf8")) as NotifyHolder;
    return Number.isInteger(holder.pid) && isAlive(holder) ? holder : null;
  } catch {
    return null;
  }
}

/** The file that is locked: it also says who holds it. */
export function notifyLockPath(store: RunStore): string {
  return join(store.orchdDir, "notify.lock");
}
