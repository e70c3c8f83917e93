/** `orchd rerun RUN`: asks for a new run that reuses what is still valid (semantics.md 26). */
import { defined } from "../../core/defined.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { readRunNear } from "../../views/near-run.ts";
import { noSuchStep } from "../../views/run-reading.ts";
import type { CommandContext } from "../command.ts";
import { askForRun } from "./run.ts";
import { noViewError, seen, usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const id = args.text("run")!;
  const from = args.text("from");
  const failed = args.flag("failed");
  if (failed && from !== undefined)
    throw usageError("--failed and --from exclude each other; give one of them.");
  const { state } = seen(readRunNear(new RunStore(roots.runs), id));
  // An edited file may have steps that the run does not have.
  if (from !== undefined && !args.flag("edited") && !state.steps.has(from))
    throw noViewError(noSuchStep(state, from));
  const how = defined({
    failed: failed ? true : undefined,
    from,
    edited: args.flag("edited") ? true : undefined,
  });
  return askForRun(context, { type: "rerun", run: id, ...how }, args.flag("wait"));
}
