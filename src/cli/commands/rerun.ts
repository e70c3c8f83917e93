/** `orchd rerun RUN`: asks for a new run that reuses what is still valid (semantics.md 26). */
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { seen, usageError, type ExitStatus } from "../exit.ts";
import { askForRun } from "./run.ts";
import { noSuchStep, readRun } from "../../views/run-reading.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const id = args.text("run")!;
  const from = args.text("from");
  const failed = args.flag("failed");
  if (failed && from !== undefined)
    throw usageError("--failed and --from exclude each other; give one of them.");
  const { state } = seen(readRun(new RunStore(roots.runs), id));
  // An edited file may have steps that the run did not.
  if (from !== undefined && !args.flag("edited") && !state.steps.has(from))
    seen(noSuchStep(state, from));
  const question = {
    type: "rerun" as const,
    run: id,
    ...(failed ? { failed } : {}),
    ...(from === undefined ? {} : { from }),
    ...(args.flag("edited") ? { edited: true } : {}),
  };
  return askForRun(context, question, args.flag("wait"));
}
