/**
 * How often a fault is injected, and what was reached.
 *
 * `npm test` does each kind of fault a few times, `npm run test:faults` (FAULTS=1) as often as
 * docs/failure-model.md says. Both print lines that say what was reached of how many.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { afterAll, afterEach } from "vitest";

/** Whether the full figures are wanted. */
export const fullFigures = process.env["FAULTS"] === "1";

/** The part of the promised figures that is wanted, for a person without time for all of it. */
const share = Number(process.env["FAULTS_SHARE"] ?? "1");

/**
 * The number of trials: `quick`, or with FAULTS=1 the wanted part of the promised figure, and never
 * fewer than `quick`.
 */
export function trials(quick: number, full: number): number {
  return fullFigures ? Math.max(quick, Math.round(full * share)) : quick;
}

/** How much of a promise of docs/failure-model.md a test reached. */
export interface Figure {
  readonly promise: number;
  readonly what: string;
  readonly good: number;
  readonly of: number;
}

/** Prints what was reached of a promise, and notes it for promise-reporter.ts. */
export function reached(promise: number, what: string, good: number, of: number): void {
  process.stdout.write(`promise ${promise}: ${what}: ${good} / ${of}\n`);
  const figures = process.env["ORCHD_FIGURES"];
  if (figures !== undefined)
    appendFileSync(figures, `${JSON.stringify({ promise, what, good, of } satisfies Figure)}\n`);
}

/**
 * Makes every test of this file (or `describe`) one trial of a promise, and says at the end how
 * many of them passed.
 */
export function reachedByTests(promise: number, what: string): void {
  let [good, of] = [0, 0];
  afterEach(({ task }) => {
    of += 1;
    if ((task.result?.errors ?? []).length === 0) good += 1;
  });
  afterAll(() => reached(promise, what, good, of));
}

/** Whether a program can be run here. */
export function hasProgram(name: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" }).status === 0;
}

/** Whether this process may mount: full disks and power cuts need a file system of their own. */
export function canMount(): boolean {
  return (
    process.getuid?.() === 0 &&
    spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" })
      .status === 0
  );
}
