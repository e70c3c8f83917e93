/** `orchd start`: the daemon, in the foreground. */
import { statSync } from "node:fs";
import type { CommandContext } from "./command.ts";
import { usageError, type ExitStatus } from "./exit.ts";

/** Runs the command. */
export async function run({ args, roots, startDaemon }: CommandContext): Promise<ExitStatus> {
  if (!isDirectory(roots.root))
    throw usageError(`the root ${roots.root} is no folder; name one with --root or ORCHD_ROOT, or make one with \`orchd init ${roots.root}\`.`);
  return (await startDaemon({ ...roots, pretty: args.flag("pretty") })) as ExitStatus;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
