/** `orchd status [PIPELINE or RUN]`, now, at a moment that is over, or anew every second. */
import type { CommandContext } from "../command.ts";
import type { ExitStatus } from "../exit.ts";
import { showStatus } from "./status-now.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  if (context.args.flag("watch")) return (await import("./status-watch.ts")).watch(context);
  if (context.args.text("at") !== undefined)
    return (await import("./status-at.ts")).statusAt(context);
  return showStatus(context);
}
