/**
 * Every command, and the daemon for `orchd start`. src/cli knows nothing above itself, so it gets
 * the daemon from here.
 */
import { runCommandLine } from "../src/cli/program.ts";

/** Runs one command to its end. @returns the exit status */
export function runCommands(words: readonly string[]): Promise<number> {
  return runCommandLine(words, async (options) => (await import("./daemon.ts")).runDaemon(options));
}
