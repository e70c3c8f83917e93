/** `orchd start`: the daemon, in the foreground. */
import type { CommandContext } from "../command.ts";
import type { ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal, startDaemon } = context;
  const tell = (sentence: string): void => terminal.error(sentence);
  return (await startDaemon({ ...roots, pretty: args.flag("pretty"), tell })) as ExitStatus;
}
