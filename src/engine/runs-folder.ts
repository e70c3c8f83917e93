import { accessSync, constants } from "node:fs";
import { folderSentence } from "../disk/folder-sentence.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { RunStore } from "../ledger/run-store.ts";

/**
 * Makes the runs folder where it is missing.
 *
 * @returns why a daemon cannot write it, in a sentence; undefined where it can
 */
export function makeRunsFolder({ runsDir, orchdDir }: RunStore): string | undefined {
  try {
    makeFolder(orchdDir, 0o750);
    accessSync(runsDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code = "unknown", syscall, path } = error as NodeJS.ErrnoException;
    if (syscall === "mkdir") return folderSentence(path ?? runsDir, code);
    return (
      `the runs folder ${runsDir} cannot be written (${code}); ` +
      "give this user the right to, or name another with --runs."
    );
  }
}
