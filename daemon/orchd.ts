#!/usr/bin/env node
/**
 * The entry of the command line. It answers `orchd status` with the few files that this takes.
 * `orchd page` is loaded with page-alone.ts, and every other command with commands.ts. Both are
 * built apart from this file (esbuild.config.mjs): the quick commands do not pay for the others.
 */
import type { Arguments } from "../src/cli/arguments.ts";
import { refuseNowhere, runFast, TOO_FEW_DESCRIPTORS } from "../src/cli/entry.ts";
import { parseFastPage } from "../src/cli/fast-path.ts";
import { runBelowReaper } from "../src/cli/first-process.ts";
import { keepHeapSmall, keepYoungHeapSmall } from "../src/small-heap.ts";
import { ignoreUserSignals } from "../src/user-signals.ts";

const words = process.argv.slice(2);
process.exitCode =
  refuseNowhere() ?? (await runFast(words)) ?? (await runApart()) ?? (await runOther());

/** As process 1 of a container, the command runs below a reaper. */
async function runApart(): Promise<number | undefined> {
  return process.pid === 1 ? runBelowReaper() : undefined;
}

async function runOther(): Promise<number> {
  ignoreUserSignals();
  const page = parseFastPage(words);
  try {
    return await (page === undefined ? runCommand() : servePage(page));
  } catch (error) {
    // The program's own files could not be opened. Everything later is told by `guarded`.
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
    process.stderr.write(`orchd: ${TOO_FEW_DESCRIPTORS}\n`);
    return 1;
  }
}

async function runCommand(): Promise<number> {
  keepHeapSmall();
  return (await import("./commands.ts")).runCommands(words);
}

async function servePage(args: Arguments): Promise<number> {
  keepYoungHeapSmall();
  const { runPageAlone } = await import("./page-alone.ts");
  // Not before the import, which makes much that stays: each collection then is for nothing.
  keepHeapSmall();
  return runPageAlone(args);
}
