/**
 * Finds the processes below a process, parent by parent, and ends them.
 *
 * A child that cleared its environment and made a session of its own has neither the token nor the
 * process group. It still has its parent, while the processes in between live. So they are looked
 * for before those are ended, and remembered by pid and start time: later the pid alone may belong
 * to another process. Linux only: elsewhere there is no /proc and nothing is found.
 */
import { readdirSync, readFileSync } from "node:fs";

/** A process that cannot be mistaken for a later one with the same pid. */
export interface Descendant {
  readonly pid: number;
  /** When it started, in the kernel's ticks since boot. */
  readonly started: string;
}

/** The children of `roots`, their children, and so on; never the caller's own process. */
export function descendantsOf(roots: readonly number[]): Descendant[] {
  const children = new Map<number, Descendant[]>();
  for (const name of roots.length === 0 ? [] : processFolders()) {
    const pid = Number(name);
    const stat = pid === process.pid ? undefined : statOf(pid);
    if (stat === undefined) continue;
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [{ pid, started: stat.started }]);
    else siblings.push({ pid, started: stat.started });
  }
  const found: Descendant[] = [];
  const seen = new Set(roots);
  const open = [...roots];
  for (let parent = open.pop(); parent !== undefined; parent = open.pop()) {
    for (const child of children.get(parent) ?? []) {
      if (seen.has(child.pid)) continue;
      seen.add(child.pid);
      open.push(child.pid);
      found.push(child);
    }
  }
  return found;
}

/** Ends a process with SIGKILL if it is still the same one. @returns whether it was */
export function killDescendant({ pid, started }: Descendant): boolean {
  if (statOf(pid)?.started !== started) return false;
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

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

function statOf(pid: number): { readonly parent: number; readonly started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything: what follows is counted from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(fields[1]), started: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}
