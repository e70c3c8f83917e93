/** Who holds the lock of a program (program-lock.ts), for readers: they load nothing that locks. */
import { readOwnText } from "../disk/own-file.ts";
import { isAlive } from "./daemon-info.ts";

/** The process that holds a lock. */
export interface ProgramHolder {
  readonly pid: number;
  /** As {@link Holder.startTime} of the daemon's. */
  readonly startTime: string | null;
  readonly bootId: string | null;
  /** When the lock was taken; ISO 8601, UTC. */
  readonly since: string;
  readonly version: string;
}

/** The process that holds the lock of a file; null where none does. Takes no lock. */
export function readProgramHolder(path: string): ProgramHolder | null {
  try {
    const holder = JSON.parse(readOwnText(path)) as ProgramHolder;
    return Number.isInteger(holder.pid) && isAlive(holder) ? holder : null;
  } catch {
    return null;
  }
}
