/** `orchd start`: the daemon, in the foreground. */
import { existsSync } from "node:fs";
import type { Roots } from "../../views/roots.ts";
import type { CommandContext } from "../command.ts";
import { usageError, type ExitStatus } from "../exit.ts";

/**
 * Runs the command. On a terminal the log is for people, unless `--json` asks for lines.
 *
 * @throws CliError (exit 2) where there is no project
 */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal, startDaemon } = context;
  checkProject(roots);
  const isTerminal = process.stderr.isTTY === true;
  const pretty = args.flag("pretty") || (isTerminal && !args.flag("json"));
  const tell = (sentence: string): void => terminal.error(sentence);
  return (await startDaemon({ ...roots, pretty, isTerminal, tell })) as ExitStatus;
}

/**
 * A folder with neither pipelines nor ledgers is probably the wrong one, and nothing is made in it.
 * With ledgers it is a root whose drop folder is away for a while: the daemon waits for that.
 */
function checkProject({ root, schedules, runs }: Roots): void {
  if (existsSync(schedules) || existsSync(runs)) return;
  throw usageError(
    `there is no folder ${schedules}, so nothing would ever run; go to the project's folder, ` +
      `name it with --root, or make a project with \`orchd init ${root}\`.`,
  );
}
