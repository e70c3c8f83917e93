/**
 * The command line's one door to the engine: `orchd run --foreground` where no daemon runs
 * (semantics.md 25). For one run this process takes the daemon's place, and its lock.
 */
import type { Json } from "../core/snapshot.ts";
import { readHolder } from "../ledger/daemon-info.ts";
import { RunStore } from "../ledger/run-store.ts";
import { runForeground } from "../engine/foreground.ts";
import type { CommandContext } from "./command.ts";
import { CliError, EXIT, type ExitStatus } from "./exit.ts";
import { NO_REAPER } from "./first-process.ts";
import { followRun, reportEnd } from "./follow-run.ts";

/** Makes the run, drives it in this process and shows it until it ends. */
export async function runInForeground(
  context: CommandContext,
  submit: {
    readonly pipeline: string;
    readonly params?: Readonly<Record<string, Json>>;
    readonly noCache?: boolean;
  },
): Promise<ExitStatus> {
  if (process.pid === 1) context.terminal.note(`${NO_REAPER}.`);
  const started = await runForeground({ ...context.roots, ...submit });
  if (!started.accepted) {
    const held = readHolder(new RunStore(context.roots.runs).orchdDir) !== null;
    throw new CliError(held ? EXIT.refused : EXIT.usage, started.reason);
  }
  if (started.remark !== undefined && !context.args.flag("json"))
    context.terminal.note(started.remark);
  const view = await followRun(context, started.run, { driven: started.finished });
  await started.finished;
  return reportEnd(context, view);
}
