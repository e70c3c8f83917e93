/** `orchd rerun RUN`: asks for a new run that reuses what is still valid (semantics.md 26). */
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { unknownError, usageError, type ExitStatus } from "../exit.ts";
import { listText } from "../render.ts";
import { askForRun } from "./run.ts";
import { readRun } from "../../views/run-view.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const id = args.text("run")!;
  const from = args.text("from");
  const failed = args.flag("failed");
  if (failed && from !== undefined)
    throw usageError("--failed and --from exclude each other; give one of them.");
  const { state } = readRun(new RunStore(roots.runs), id);
  // An edited file may have steps that the run did not.
  if (from !== undefined && !args.flag("edited") && !state.steps.has(from)) {
    throw unknownError(
      `the run "${id}" has no step "${from}"; its steps are ${listText([...state.steps.keys()])}.`,
    );
  }
  const question = {
    type: "rerun" as const,
    run: id,
    ...(failed ? { failed } : {}),
    ...(from === undefined ? {} : { from }),
    ...(args.flag("edited") ? { edited: true } : {}),
  };
  return askForRun(context, question, args.flag("wait"));
}
