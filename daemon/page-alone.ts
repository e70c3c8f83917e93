/**
 * `orchd page` without the other commands: one file and few chunks, since each file that Node opens
 * costs half a millisecond, and yargs 50.
 */
import type { Arguments } from "../src/cli/arguments.ts";
import { run } from "../src/cli/commands/page.ts";
import { guarded, rootsOf } from "../src/cli/entry.ts";
import { checkRoots } from "../src/cli/roots.ts";
import { runPage } from "./page.ts";

/** Serves the page until the process is told to end. @returns the exit status */
export function runPageAlone(args: Arguments): Promise<number> {
  return guarded(async (terminal) => {
    const roots = rootsOf(args);
    checkRoots(roots);
    return run({ args, roots, terminal, servePage: runPage });
  });
}
