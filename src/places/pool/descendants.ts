/**
 * Finds the processes below a process, parent by parent, and ends them.
 *
 * A child that cleared its environment and made a session of its own has neither the token nor the
 * process group. It still has its parent, while the processes in between live. So they are looked
 * for before those are ended, and remembered by pid and start time: later the pid alone may belong
 * to another process. Linux only: elsewhere there is no /proc and nothing is found.
 */
import { eachProcess, processStat } from "./process-stat.ts";

/** Where its parent, and the time of its start, stand in what is said of a process. */
const PARENT = 1;
const STARTED = 19;

/** A process that cannot be mistaken for a later one with the same pid. */
export interface Descendant {
  readonly pid: number;
  /** When it started, in the kernel's ticks since boot. */
  readonly started: string;
}

/** The children of `roots`, their children, and so on; never the caller's own process. */
export function descendantsOf(roots: readonly number[]): Descendant[] {
  const children = new Map<number, Descendant[]>();
  for (const pid of roots.length === 0 ? [] : eachProcess()) {
    const stat = processStat(pid);
    if (stat === undefined) continue;
    const parent = Number(stat[PARENT]);
    const siblings = children.get(parent);
    const child = { pid, started: stat[STARTED] ?? "" };
    if (siblings === undefined) children.set(parent, [child]);
    else siblings.push(child);
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
  if (processStat(pid)?.[STARTED] !== started) return false;
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}
