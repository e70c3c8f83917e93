/**
 * `orchd metrics [--textfile PATH]`: the metrics of `/metrics`, where no port may open.
 *
 * A file is written aside and renamed: a collector reads the old text or the new one.
 */
import { realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { writeFileAtomically } from "../../disk/atomic-file.ts";
import { errorCode } from "../../disk/disk-error.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, usageError, type ExitStatus } from "../exit.ts";

/** For all: node_exporter runs as a user of its own. */
const MODE = { mode: 0o644, exactly: true } as const;

/** Runs the command. With a file it prints nothing: cron would mail it. */
export async function run({
  args,
  roots,
  terminal,
  readMetrics,
}: CommandContext): Promise<ExitStatus> {
  const given = args.text("textfile");
  const path = given === undefined ? undefined : targetOf(given);
  const { text, values } = await readMetrics(roots);
  if (path === undefined) {
    if (args.flag("json")) terminal.json(values);
    else terminal.ownText(text);
    return EXIT.done;
  }
  try {
    await writeFileAtomically(path, text, MODE);
  } catch (error) {
    throw new CliError(
      EXIT.failed,
      `${path} could not be written: ${(error as Error).message}; what was there is unchanged.`,
    );
  }
  if (args.flag("json")) terminal.json({ textfile: path });
  return EXIT.done;
}

/** The file that is written: where a link leads. @throws CliError where it cannot be one */
function targetOf(given: string): string {
  if (given === "") throw usageError("--textfile needs the path of a file.");
  const path = resolve(given);
  try {
    const target = realpathSync(path);
    // A rename would put a file in the place of /dev/stdout.
    if (statSync(target).isFile()) return target;
    throw usageError(`${given} is no file; --textfile replaces a file as a whole.`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  if (statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory() !== true)
    throw usageError(`there is no folder ${dirname(path)} for the file of --textfile.`);
  return path;
}
