import { accessSync, constants, existsSync, statSync } from "node:fs";
import { whatLetsWrite } from "../core/read-only.ts";
import { folderSentence } from "../disk/folder-sentence.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { RunStore } from "../ledger/run-store.ts";

/**
 * Makes the runs folder where it is missing.
 *
 * @returns why a daemon cannot write it, in a sentence; undefined where it can
 */
export function makeRunsFolder({ runsDir, orchdDir }: RunStore): string | undefined {
  return makeWritable(orchdDir, runsDir, `the runs folder ${runsDir}`);
}

/**
 * Makes the runs folder where it is missing, for a program that writes `.orchd` alone: its unit may
 * take the right to write the rest from it.
 *
 * @returns why it cannot write there, in a sentence; undefined where it can
 */
export function makeOrchdFolder({ orchdDir }: RunStore): string | undefined {
  return makeWritable(orchdDir, orchdDir, `the folder ${orchdDir}`);
}

function makeWritable(made: string, written: string, what: string): string | undefined {
  try {
    makeFolder(made, 0o750);
    accessSync(written, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code = "unknown", syscall, path } = error as NodeJS.ErrnoException;
    if (syscall === "mkdir") return folderSentence(path ?? written, code);
    return (
      `${what} cannot be written (${code}); ` +
      `${whatLetsWrite(code, "give this user the right to")}, or name another with --runs.`
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
export function foreignRunsFolder(store: RunStore): string | undefined {
  const owners = foreignOwners(store);
  return owners === undefined
    ? undefined
    : `${owners.sentence} Run it as that user (\`sudo -u '#${owners.owner}' orchd run …\`), ` +
        "or leave --foreground out to ask the daemon.";
}

/**
 * As {@link foreignRunsFolder}, for a daemon. A folder in which no daemon has been is nobody's yet:
 * in a container root may begin in a folder of the host.
 */
export function foreignDaemonsFolder(store: RunStore): string | undefined {
  const owners = existsSync(store.orchdDir) ? foreignOwners(store) : undefined;
  return owners === undefined
    ? undefined
    : `${owners.sentence} Run it as that user (\`sudo -u '#${owners.owner}' orchd start\`).`;
}

function foreignOwners({
  runsDir,
  orchdDir,
}: RunStore): { readonly owner: number; readonly sentence: string } | undefined {
  const own = process.geteuid?.();
  const owners = [runsDir, orchdDir].flatMap(
    (path) => statSync(path, { throwIfNoEntry: false })?.uid ?? [],
  );
  if (own === undefined || owners.length === 0 || owners.includes(own)) return undefined;
  const owner = owners[0]!;
  const sentence =
    `the runs folder ${runsDir} belongs to user ${owner}, and this is user ${own}: ` +
    "a daemon of that user could not go on with what is written here.";
  return { owner, sentence };
}
