/** `orchd start`: the daemon, in the foreground. */
import { existsSync, fstatSync } from "node:fs";
import { shellWord } from "../../core/shell-word.ts";
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
  const showLink =
    pretty || isTerminal || !isLogOnStdout()
      ? (link: string): void => terminal.offer(`page: ${link}`)
      : undefined;
  const options = { ...roots, pretty, isTerminal, tell, page: args.flag("page"), showLink };
  return (await startDaemon(options)) as ExitStatus;
}

/** Whether what goes to stdout stands in the same file as the log, as under systemd. */
function isLogOnStdout(): boolean {
  try {
    const [out, log] = [fstatSync(1), fstatSync(2)];
    return out.dev === log.dev && out.ino === log.ino;
  } catch {
    return true;
  }
}

/**
 * A folder with neither pipelines nor ledgers is probably the wrong one, and nothing is made in it.
 * With ledgers it is a root whose drop folder is away for a while: the daemon waits for that.
 */
function checkProject({ root, schedules, runs }: Roots): void {
  if (existsSync(schedules) || existsSync(runs)) return;
  throw usageError(
    `there is no folder ${schedules}, so nothing would ever run; go to the project's folder, ` +
      `name it with --root, or make a project with \`orchd init ${shellWord(root)}\`.`,
  );
}
