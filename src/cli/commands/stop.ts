/** `orchd stop RUN [--force]`: leaves a stop request and waits for the daemon's answer. */
import { RunStore } from "../../ledger/run-store.ts";
import { readRun } from "../../views/run-reading.ts";
import { askDaemon, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, seen, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const id = context.args.text("run")!;
  const force = context.args.flag("force");
  const { state } = seen(readRun(new RunStore(context.roots.runs), id));
  if (state.finished !== undefined)
    throw new CliError(
      EXIT.refused,
      `refused: the run "${id}" has ended already, ${state.finished.status}; ` +
        "there is nothing to stop.",
    );
  const answer = await askDaemon(context, {
    type: "stop",
    run: id,
    mode: force ? "force" : "graceful",
  });
  return report(context, answer, () => `${id} is stopping${force ? ", by force" : ""}`);
}
