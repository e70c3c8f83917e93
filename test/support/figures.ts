/**
 * How often a fault is injected, and what was reached.
 *
 * `npm test` does each kind of fault a few times; `npm run test:faults` (FAULTS=1) as often as docs/failure-model.md says. Either way a
 * line a promise says what was reached, of how many.
 */
import { spawnSync } from "node:child_process";

/** Whether the full figures are wanted. */
export const fullFigures = process.env["FAULTS"] === "1";

/** The number of trials: a few, or the promised figure. */
export function trials(quick: number, full: number): number {
  return fullFigures ? full : quick;
}

/** Prints what a promise reached. */
export function reached(promise: number, what: string, good: number, of: number): void {
  process.stdout.write(`promise ${promise}: ${what}: ${good} / ${of}\n`);
}

/** Whether a program can be run here. */
export function hasProgram(name: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" }).status === 0;
}

/** Whether this process may mount: full disks and power cuts need a file system of their own. */
export function canMount(): boolean {
  return process.getuid?.() === 0 && spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" }).status === 0;
}
