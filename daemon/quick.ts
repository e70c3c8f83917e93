/**
 * The quick program: what each command line starts with. It answers `orchd status` with the few
 * files that this takes. `orchd page` is loaded with page-alone.ts, and every other command with
 * commands.ts. Both are built apart from this file (esbuild.config.mjs): the quick commands do not
 * pay for the others.
 *
 * orchd.ts runs it, and imports those two for it: what V8 compiled before cannot import.
 */
import type { Arguments } from "../src/cli/arguments.ts";
import { refuseNowhere, runFast, TOO_FEW_DESCRIPTORS } from "../src/cli/entry.ts";
import { parseFastPage } from "../src/cli/fast-path.ts";
import { runBelowReaper } from "../src/cli/first-process.ts";
import { keepHeapSmall, keepYoungHeapSmall } from "../src/small-heap.ts";
import { ignoreUserSignals } from "../src/user-signals.ts";
import type * as commands from "./commands.ts";
import type * as pageAlone from "./page-alone.ts";

/** Imports what is built apart. */
export interface Apart {
  commands(): Promise<typeof commands>;
  page(): Promise<typeof pageAlone>;
}

/** Runs the process's command to its end, and leaves its exit status. */
export async function runQuick(apart: Apart): Promise<void> {
  const words = process.argv.slice(2);
  process.exitCode =
    refuseNowhere() ??
    (await runFast(words)) ??
    (await runApart()) ??
    (await runOther(words, apart));
}

/** As process 1 of a container, the command runs below a reaper. */
async function runApart(): Promise<number | undefined> {
  return process.pid === 1 ? runBelowReaper() : undefined;
}

async function runOther(words: readonly string[], apart: Apart): Promise<number> {
  ignoreUserSignals();
  const page = parseFastPage(words);
  try {
    return await (page === undefined ? runCommand(words, apart) : servePage(page, apart));
  } catch (error) {
    // The program's own files could not be opened. Everything later is told by `guarded`.
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
    process.stderr.write(`orchd: ${TOO_FEW_DESCRIPTORS}\n`);
    return 1;
  }
}

async function runCommand(words: readonly string[], { commands }: Apart): Promise<number> {
  keepHeapSmall();
  return (await commands()).runCommands(words);
}

async function servePage(args: Arguments, { page }: Apart): Promise<number> {
  keepYoungHeapSmall();
  const { runPageAlone } = await page();
  // Not before the import, which makes much that stays: each collection then is for nothing.
  keepHeapSmall();
  return runPageAlone(args);
}
