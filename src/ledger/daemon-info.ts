/**
 * Who holds the runs folder: what `epoch/N` says, and whether that process is alive (semantics.md
 * 30).
 *
 * Reading this needs no lock and no native module, so any process can ask. The kernel lock decides
 * who may write (lock.ts). From the epoch file, other processes learn about the holder. So does a
 * newcomer that finds the lock file replaced.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../disk/disk-error.ts";
import { readOwnText } from "../disk/own-file.ts";

/**
 * What holds the lock: a daemon, one run in the foreground, a program that opened the root, or a
 * command that writes briefly.
 */
export type HolderRole = "daemon" | "foreground" | "program" | "command";

/** What `epoch/N` holds, as JSON. */
export interface Holder {
  readonly epoch: number;
  readonly pid: number;
  /**
   * When the process started, in clock ticks since boot: a later process with the same pid has
   * another start time. null where there is no /proc.
   */
  readonly startTime: string | null;
  readonly bootId: string | null;
  readonly role: HolderRole;
  /** When the lock was taken; ISO 8601. */
  readonly since: string;
  readonly version: string;
  /** The time-zone data's version. */
  readonly tz: string;
  /** The holder has recovered, and has read the drop folder once (semantics.md 27a). */
  readonly ready: boolean;
  /** The one run that a foreground holder runs. */
  readonly run?: string;
  /** The unfinished runs of a program that holds the root. */
  readonly runs?: readonly string[];
  /** The holder gave the lock back; its process may go on. */
  readonly released?: boolean;
}

/** The daemon that runs. */
export type DaemonInfo = Pick<Holder, "pid" | "since" | "version" | "tz" | "ready">;

/**
 * The daemon that holds the lock, or null if none is alive. It answers requests once it is `ready`.
 */
export function readDaemon(orchdDir: string): DaemonInfo | null {
  const holder = readHolder(orchdDir);
  if (holder === null || holder.role !== "daemon") return null;
  const { pid, since, version, tz, ready } = holder;
  return { pid, since, version, tz, ready };
}

/** The process that holds the lock, or null if none is alive. */
export function readHolder(orchdDir: string): Holder | null {
  const epoch = newestEpoch(orchdDir);
  if (epoch === 0) return null;
  const holder = readEpoch(orchdDir, epoch);
  return holder !== null && isAlive(holder) ? holder : null;
}

/** The number of the newest epoch; 0 before the first. */
export function newestEpoch(orchdDir: string): number {
  let newest = 0;
  try {
    for (const name of readdirSync(epochDir(orchdDir)))
      if (/^[1-9]\d{0,14}$/.test(name)) newest = Math.max(newest, Number(name));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return newest;
}

/** The folder of the epoch files. */
export function epochDir(orchdDir: string): string {
  return join(orchdDir, "epoch");
}

/** What an epoch file says, or null if it is gone or unusable. */
export function readEpoch(orchdDir: string, epoch: number): Holder | null {
  try {
    const value = JSON.parse(readOwnText(join(epochDir(orchdDir), String(epoch)))) as Holder;
    return Number.isInteger(value.pid) ? { ...value, epoch } : null;
  } catch {
    return null;
  }
}

/**
 * Whether the process that an epoch file names is alive and has not given the lock back. A zombie
 * is not alive.
 */
export function isAlive(
  holder: Pick<Holder, "pid" | "startTime" | "bootId" | "released">,
): boolean {
  if (holder.released === true || (holder.bootId !== null && holder.bootId !== bootId()))
    return false;
  if (holder.startTime === null) return respondsToSignals(holder.pid);
  return startTimeOf(holder.pid) === holder.startTime;
}

function respondsToSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}

/**
 * When a process started, in clock ticks since boot; null if there is no such process, if it is a
 * zombie, or without /proc.
 */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name is in parentheses and may hold anything: count the fields from the last
    // parenthesis.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** The id of this boot; null where the system has none. */
export function bootId(): string | null {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return null;
  }
}
