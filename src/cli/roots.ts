/** Where a project's folders are. */
import { resolve } from "node:path";
import type { Arguments } from "./arguments.ts";

/** Absolute paths of a project root, its drop folder and its ledgers. */
export interface Roots {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
}

/** `--root` or `ORCHD_ROOT` (default: the working folder), with `--schedules` and `--runs` overriding the two folders. */
export function resolveRoots(args: Arguments, env: NodeJS.ProcessEnv, cwd: string): Roots {
  const fromEnv = env["ORCHD_ROOT"];
  const root = resolve(cwd, args.text("root") ?? (fromEnv === undefined || fromEnv === "" ? "." : fromEnv));
  return {
    root,
    schedules: resolve(cwd, args.text("schedules") ?? resolve(root, "schedules")),
    runs: resolve(cwd, args.text("runs") ?? resolve(root, "runs")),
  };
}
