/**
 * The environment of another process, as it was at its exec. Linux only: elsewhere there is no
 * /proc, and no process has one.
 *
 * For a moment a process has none: it has left one program and is not the next one yet. On a busy
 * machine that moment lasts a hundred milliseconds and more. Kernel threads and zombies have none
 * either, for good.
 */
import { readFileSync } from "node:fs";

/** A process between two programs. */
export const BECOMING: unique symbol = Symbol("a process between two programs");

/** `PF_KTHREAD`: the process is the kernel's. */
const OF_KERNEL = 0x0020_0000;

/** Each entry between two NULs. Undefined where there is none, or where it may not be read. */
export function environmentOf(pid: number): string | typeof BECOMING | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/environ`, "latin1");
    if (text !== "") return `\0${text}\0`;
    return isBecoming(pid) ? BECOMING : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a process without an environment will have one. */
function isBecoming(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name in parentheses may hold anything: what follows is counted from its end.
  const [state = "Z", , , , , , flags] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state !== "Z" && state !== "X" && (Number(flags) & OF_KERNEL) === 0;
}
