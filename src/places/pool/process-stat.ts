/** What Linux's /proc says of processes. Elsewhere there is none, and nothing is found. */
import { readdirSync, readFileSync } from "node:fs";

/** The names in /proc that are pids. */
export function processFolders(): string[] {
  try {
    return readdirSync("/proc").filter(
      (name) => name.charCodeAt(0) >= 0x30 && name.charCodeAt(0) <= 0x39,
    );
  } catch {
    return [];
  }
}

/** The fields of a process's `stat`, from its state on; undefined: there is no such process. */
export function processStat(pid: number | string): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything: what follows is counted from its end.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
