/** What Linux's /proc says of processes. Elsewhere there is none, and nothing is found. */
import { readdirSync, readFileSync } from "node:fs";

/** The most lists of processes that one look makes. */
const LISTS = 5;

/**
 * The pid of each process, the caller's own left out.
 *
 * One that is in a list may fork and end before it is looked at, and then its child is in no list.
 * So the list is made again until nothing new is in it. A machine may fork without end: then the
 * last list has to do.
 */
export function* eachProcess(): Generator<number> {
  const seen = new Set([String(process.pid)]);
  for (let list = 0; list < LISTS; list += 1) {
    const fresh = processFolders().filter((name) => !seen.has(name));
    if (fresh.length === 0) return;
    for (const name of fresh) {
      seen.add(name);
      yield Number(name);
    }
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

/** Under which key the kernel tells a process how long a page of memory is. */
const AT_PAGESZ = 6n;
/** How long it is on most machines, in bytes. */
const USUAL_PAGE = 4_096;

/**
 * How long a page of memory is, in bytes: /proc counts some things in pages. Some machines have
 * pages of 16 or 64 KiB.
 *
 * @param told what the kernel told a process at its start: pairs of a key and a value
 */
export function pageBytes(told: Uint8Array = toldAtStart()): number {
  const words = new BigUint64Array(told.slice(0, told.length - (told.length % 16)).buffer);
  for (let at = 0; at < words.length; at += 2)
    if (words[at] === AT_PAGESZ) return Number(words[at + 1]);
  return USUAL_PAGE;
}

function toldAtStart(): Uint8Array {
  try {
    return new Uint8Array(readFileSync("/proc/self/auxv"));
  } catch {
    return new Uint8Array();
  }
}
