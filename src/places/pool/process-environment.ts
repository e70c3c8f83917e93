/**
 * The environment of another process, as it was at its exec. Linux only: elsewhere there is no
 * /proc, and no process has one.
 *
 * For a moment a process has none: it has left one program and is not the next one yet. On a busy
 * machine that moment lasts a hundred milliseconds and more. Kernel threads and zombies have none
 * either, for good.
 */
import { readFileSync } from "node:fs";
import { processFolders } from "./descendants.ts";

/** A process between two programs. */
export const BECOMING: unique symbol = Symbol("a process between two programs");

/** `PF_KTHREAD`: the process is the kernel's. */
const OF_KERNEL = 0x0020_0000;
/** The unit of times in `/proc/PID/stat`. */
const TICK_MS = 10;
/** A process that is older is not between a fork and its program. */
const MOMENT_MS = 2_000;

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

/**
 * Whether any process that was made a moment ago is between two programs: it may carry a token that
 * nobody can read yet. An older one has an empty environment for good.
 */
export function someAreBecoming(): boolean {
  return processFolders().some((entry) => {
    const pid = Number(entry);
    try {
      return environmentOf(pid) === BECOMING && ageOf(pid) < MOMENT_MS;
    } catch {
      return false;
    }
  });
}

/** Whether a process without an environment will have one. @throws a Node error */
function isBecoming(pid: number): boolean {
  const [state = "Z", , , , , , flags] = statOf(pid);
  return state !== "Z" && state !== "X" && (Number(flags) & OF_KERNEL) === 0;
}

/** How long ago a process was made, in milliseconds. @throws a Node error */
function ageOf(pid: number): number {
  const madeMs = Number(statOf(pid)[19]) * TICK_MS;
  const nowMs = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 1_000;
  return nowMs - madeMs;
}

/** What the kernel says of a process, from its state on. @throws a Node error */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name in parentheses may hold anything: what follows is counted from its end.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
