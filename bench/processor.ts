/**
 * Processor time, user and system, of whole families of processes. Linux gives it in ticks of 10 ms
 * for each process, and what children that ended had used is in their parent's.
 */
import { readFileSync } from "node:fs";
import { childrenOf } from "./resources.ts";

/** Microseconds of a tick of /proc. */
const TICK_US = 10_000;

/** The fields of /proc/PID/stat after the name, from the third on. */
function statOf(pid: number | "self"): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(") ") + 2).split(" ");
}

const ticks = (fields: readonly string[], from: number): number =>
  Number(fields[from]) + Number(fields[from + 1]);

/** The four fields of a process's time, in ticks: utime and stime, then cutime and cstime. */
const OWN = 11;
const OF_DEAD_CHILDREN = 13;

/**
 * What processes have used so far, with all that lives below them and all that has ended there, in
 * microseconds. What is gone counts as nothing.
 */
export function familyUs(...pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    try {
      const fields = statOf(pid);
      sum += (ticks(fields, OWN) + ticks(fields, OF_DEAD_CHILDREN)) * TICK_US;
      sum += familyUs(...childrenOf(pid).map((child) => child.pid));
    } catch {
      // It ended meanwhile. Its time is in its parent's, which is read again at the next look.
    }
  }
  return sum;
}

/** What this process alone has used so far, in microseconds. */
export function ownUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What the children of this process that have ended had used, in microseconds. */
export function endedUs(): number {
  return ticks(statOf("self"), OF_DEAD_CHILDREN) * TICK_US;
}
