#!/usr/bin/env node
/**
 * The entry of the command line. It answers `orchd status` with the few files that this takes.
 * Every other command is loaded with commands.ts, which is built apart from this file
 * (esbuild.config.mjs): the quick command does not pay for the others.
 */
import { runFast, TOO_FEW_DESCRIPTORS } from "../src/cli/entry.ts";
import { runBelowReaper } from "../src/cli/first-process.ts";
import { keepHeapSmall } from "../src/small-heap.ts";

const words = process.argv.slice(2);
process.exitCode = (await runFast(words)) ?? (await runApart()) ?? (await runOther());

/** As process 1 of a container, the command runs below a reaper. */
async function runApart(): Promise<number | undefined> {
  return process.pid === 1 ? runBelowReaper() : undefined;
}

async function runOther(): Promise<number> {
  keepHeapSmall();
  try {
    return await (await import("./commands.ts")).runCommands(words);
  } catch (error) {
    // The program's own files could not be opened. Everything later is told by `guarded`.
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
    process.stderr.write(`orchd: ${TOO_FEW_DESCRIPTORS}\n`);
    return 1;
  }
}
