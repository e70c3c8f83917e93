/** Finds a project's folders, by options and environment. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { shellWord } from "../core/shell-word.ts";
import type { Roots } from "../views/roots.ts";
import type { Arguments } from "./arguments.ts";
import { usageError } from "./exit.ts";

/**
 * `--root` or `ORCHD_ROOT` names the root (default: the working folder); `--schedules` and `--runs`
 * name the two folders in its place.
 */
export function resolveRoots(args: Arguments, env: NodeJS.ProcessEnv, cwd: string): Roots {
  const fromEnv = env["ORCHD_ROOT"];
  const root = resolve(
    cwd,
    args.text("root") ?? (fromEnv === undefined || fromEnv === "" ? "." : fromEnv),
  );
  return {
    root,
    schedules: resolve(cwd, args.text("schedules") ?? resolve(root, "schedules")),
    runs: resolve(cwd, args.text("runs") ?? resolve(root, "runs")),
  };
}

/**
 * Refuses a missing root, and folders that are files: a misspelt one would look like an empty
 * project.
 *
 * @throws CliError (exit 2)
 */
export function checkRoots({ root, schedules, runs }: Roots): void {
  if (isFolder(root) !== true)
    throw usageError(
      `the root ${root} is no folder; name one with --root or ORCHD_ROOT, ` +
        `or make one with \`orchd init ${shellWord(root)}\`.`,
    );
  if (isFolder(schedules) === false)
    throw usageError(`${schedules} is no folder; name the drop folder with --schedules.`);
  if (isFolder(runs) === false)
    throw usageError(`${runs} is no folder; name the folder of ledgers with --runs.`);
}

/** Undefined where the path is missing or cannot be looked at. */
function isFolder(path: string): boolean | undefined {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOTDIR" ? false : undefined;
  }
}
