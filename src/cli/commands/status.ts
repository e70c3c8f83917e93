/** `orchd status [PIPELINE or RUN]`: now, at a moment of the past, or again every second. */
import type { CommandContext } from "../command.ts";
import { showStatus } from "./status-now.ts";
import type { ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  if (context.args.flag("watch")) return (await import("./status-watch.ts")).watch(context);
  if (context.args.text("at") !== undefined)
    return (await import("./status-at.ts")).statusAt(context);
  return showStatus(context);
}
