/**
 * `orchd repair RUN`: asks the daemon to cut a damaged run's ledger back to its good lines. The
 * daemon keeps a copy.
 */
import { RunStore } from "../../ledger/run-store.ts";
import { findRunNear } from "../../views/near-run.ts";
import { askDaemon, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { seen, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const id = context.args.text("run")!;
  seen(findRunNear(new RunStore(context.roots.runs), id));
  return report(
    context,
    await askDaemon(context, { type: "repair", run: id }),
    ({ reason }) => `${id} is repaired${reason === undefined ? "" : `: ${reason}`}`,
  );
}
