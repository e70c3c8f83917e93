/**
 * Files that somebody opened in this process before it was orchd: `exec 40</etc/passwd`, a lock
 * that `flock` took, a socket. Node closes its own files in the programs that it starts, and of
 * these only those with low numbers. The rest would reach each step, which could read them, or
 * hold a pipe open whose end somebody waits for.
 *
 * Node cannot mark a file so that a program does not get it. So whoever starts a runner tells it
 * the numbers, and the runner closes them first of all; other programs get nothing in their place
 * (apart-program.ts). This process keeps them: a lock is held for as long as its file is open.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";

/** The numbers under which there were such files at first: none comes later. */
let inheritedAtFirst: readonly number[] | undefined;

/** The mark of a file that a program does not get which is started here: Linux's `O_CLOEXEC`. */
const CLOSED_ON_EXEC = 0o2000000;

/**
 * The files, by number, that a program started here gets although nobody gave them to it.
 *
 * @param first the first number that such a program is not given on purpose
 */
export function inheritedDescriptors(first: number): number[] {
  inheritedAtFirst ??= openDescriptors().filter(isGivenOn);
  return inheritedAtFirst.filter((descriptor) => descriptor >= first && isGivenOn(descriptor));
}

/** Whether a program that is started here gets this file. */
function isGivenOn(descriptor: number): boolean {
  try {
    const [, flags] = /^flags:\s*(\d+)$/m.exec(
      readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1"),
    )!;
    return (Number.parseInt(flags!, 8) & CLOSED_ON_EXEC) === 0;
  } catch {
    return false; // It is closed by now, as the one that read the folder is.
  }
}

/**
 * Closes files that this process got from the one that started it. What this process opened itself
 * stays open, under whatever number.
 */
export function closeInherited(descriptors: readonly number[]): void {
  if (descriptors.length === 0) return;
  const inherited = new Set(inheritedDescriptors(0));
  for (const descriptor of descriptors) if (inherited.has(descriptor)) closeSync(descriptor);
}

function openDescriptors(): number[] {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch {
    return []; // Without /proc nobody can tell.
  }
}
