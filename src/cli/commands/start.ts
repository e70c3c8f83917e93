/** `orchd start`: the daemon, in the foreground. */
import type { CommandContext } from "../command.ts";
import type { ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run({ args, roots, startDaemon }: CommandContext): Promise<ExitStatus> {
  return (await startDaemon({ ...roots, pretty: args.flag("pretty") })) as ExitStatus;
}
