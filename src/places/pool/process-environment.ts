/**
 * The environment of another process, as it was at its exec. Linux only: elsewhere there is no
 * /proc, and no process has one.
 *
 * For a moment a process has none: it has left one program and is not the next one yet. On a busy
 * machine that moment lasts a hundred milliseconds and more. The kernel says so: it has not laid
 * out where the environment ends. Of a process that was given an empty environment it has, and such
 * a one never gets another. Kernel threads and zombies have none either, for good.
 */
import { readFileSync } from "node:fs";
import { processStat } from "./process-stat.ts";

/** A process between two programs. */
export const BECOMING: unique symbol = Symbol("a process between two programs");

/** `PF_KTHREAD`: the process is the kernel's. */
export const OF_KERNEL = 0x0020_0000;
/** Where `env_end` stands in what {@link processStat} gives. */
export const ENV_END = 48;

/** Each entry between two NULs. Undefined where there is none, or where it may not be read. */
export function environmentOf(pid: number): string | typeof BECOMING | undefined {
  try {
    let text = readFileSync(`/proc/${pid}/environ`, "latin1");
    if (text === "") {
      if (isBecoming(pid)) return BECOMING;
      // It may have become a program between the two looks.
      text = readFileSync(`/proc/${pid}/environ`, "latin1");
    }
    return text === "" ? undefined : `\0${text}\0`;
  } catch {
    return undefined;
  }
}

/** Whether a process without an environment will have one. */
function isBecoming(pid: number): boolean {
  const stat = processStat(pid) ?? [];
  const [state = "Z", , , , , , flags] = stat;
  if (state === "Z" || state === "X" || (Number(flags) & OF_KERNEL) !== 0) return false;
  return Number(stat[ENV_END] ?? 0) === 0;
}
