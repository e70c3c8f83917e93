import { accessSync, constants, statSync } from "node:fs";
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

/**
 * Whether the runs folder is another user's: a daemon of that user could not write what this
 * process leaves there, whatever the rights of this process are. Who made `.orchd` has the folder
 * as much as its owner: in a container that is root, over a folder of the host.
 *
 * @returns why this process must not write there, in a sentence; undefined where it may
 */
export function foreignRunsFolder({ runsDir, orchdDir }: RunStore): string | undefined {
  const own = process.geteuid?.();
  const owners = [runsDir, orchdDir].flatMap(
    (path) => statSync(path, { throwIfNoEntry: false })?.uid ?? [],
  );
  if (own === undefined || owners.length === 0 || owners.includes(own)) return undefined;
  return (
    `the runs folder ${runsDir} belongs to user ${owners[0]!}, and this is user ${own}: ` +
    "a daemon of that user could not go on with what is written here. " +
    `Run it as that user (\`sudo -u '#${owners[0]!}' orchd run …\`), or leave --foreground out ` +
    "to ask the daemon."
  );
}
