/** From the words on the command line to an exit status: what the quick and the long way share. */
import { whatLetsWrite } from "../core/read-only.ts";
import { errorCode } from "../disk/disk-error.ts";
import { folderSentence } from "../disk/folder-sentence.ts";
import type { Roots } from "../views/roots.ts";
import type { Arguments } from "./arguments.ts";
import { showStatus } from "./commands/status-now.ts";
import { CliError, EXIT } from "./exit.ts";
import { parseFastStatus } from "./fast-path.ts";
import { checkRoots, resolveRoots } from "./roots.ts";
import { Terminal } from "./terminal.ts";

/** What to do where a process may open no further file. */
export const TOO_FEW_DESCRIPTORS: string =
  "this process may open no further file (EMFILE); " +
  "raise the limit (ulimit -n 1024, LimitNOFILE= in a unit) and run the command again.";

/** What to do where the disk itself reports a fault. */
const SICK_DISK = "the disk reports a fault: see the kernel's log (`dmesg`) for which.";

/** What a file system without hard links says where one is made. */
const NO_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/**
 * Answers `orchd status …` if its words are plain.
 *
 * @returns the exit status; undefined where yargs has to read the words
 */
export async function runFast(words: readonly string[]): Promise<number | undefined> {
  const args = parseFastStatus(words);
  return args === undefined
    ? undefined
    : guarded(async (terminal) => {
        const roots = rootsOf(args);
        checkRoots(roots);
        return showStatus({ args, roots, terminal });
      });
}

/**
 * Says so where the working folder was removed: nothing that Node loads can do without one.
 *
 * @returns the exit status; undefined where the folder is there
 */
export function refuseNowhere(): number | undefined {
  try {
    process.cwd();
    return undefined;
  } catch {
    process.stderr.write(
      "orchd: the folder that this command was started in was removed; change to one that " +
        "exists (`cd /`) and run the command again, with --root.\n",
    );
    return EXIT.failed;
  }
}

/** The project's folders, by this process's environment and working folder. */
export function rootsOf(args: Arguments): Roots {
  return resolveRoots(args, process.env, process.cwd());
}

/**
 * Runs something on the process's terminal. Never throws: everything that goes wrong is one
 * sentence on stderr.
 *
 * @returns the exit status
 */
export async function guarded(act: (terminal: Terminal) => Promise<number>): Promise<number> {
  const terminal = new Terminal(process);
  try {
    return await act(terminal);
  } catch (error) {
    terminal.error(sentenceOf(error));
    return error instanceof CliError ? error.status : EXIT.failed;
  }
}

function sentenceOf(error: unknown): string {
  const { message, code, syscall, path } = (error ?? {}) as {
    message?: unknown;
    code?: unknown;
    syscall?: unknown;
    path?: unknown;
  };
  if (typeof message !== "string" || message === "")
    return "something went wrong that gave no reason; run the command again.";
  if (syscall === "mkdir") return folderSentence(String(path), String(code));
  if (syscall === "link" && NO_LINKS.has(String(code)))
    return (
      `${message}; its file system has no hard links, which orchd needs (FAT and some network ` +
      "file systems have none): name a folder on another one with --runs."
    );
  if (code === "EMFILE" || code === "ENFILE") return TOO_FEW_DESCRIPTORS;
  // A sync that failed has EIO whatever the system said (disk/directories.ts).
  const said = errorCode((error as Error).cause) ?? code;
  if (said === "EROFS")
    return `${message}; ${whatLetsWrite(said, "")}, or name another folder with --runs or --root.`;
  if (said === "EIO") return `${message}; ${SICK_DISK}`;
  if (code === "ENOSPC" || code === "EDQUOT")
    return `${message}; make room on that disk, or name a folder on another with --runs.`;
  if (code === "EACCES" || code === "EPERM")
    return `${message}; run the command as a user who may read and write the project's folders.`;
  return message;
}
