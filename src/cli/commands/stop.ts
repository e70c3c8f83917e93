/**
 * `orchd stop RUN [--force]`: leaves a stop request and waits for the daemon's answer, and for that
 * of the run's orchestrator if it has to stop the run. A pipeline's name stands for its run, if it
 * has one that is active.
 */
import { PIPELINE_NAME } from "../../core/run-id.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { listText } from "../../core/counted.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { readRunNear } from "../../views/near-run.ts";
import { readStatus } from "../../views/status-view.ts";
import { orchestratorFailure } from "../../views/stop-answer.ts";
import type { Roots } from "../../views/roots.ts";
import { askDaemon, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, seen, unknownError, usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const target = context.args.text("run")!;
  const id = PIPELINE_NAME.test(target) ? runOfPipeline(context.roots, target) : target;
  const force = context.args.flag("force");
  const { state } = seen(readRunNear(new RunStore(context.roots.runs), id));
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
  const status = report(context, answer, () => `${id} is stopping${force ? ", by force" : ""}`);
  if (answer.kind === "kept" || !answer.reply.accepted) return status;
  const store = new RunStore(context.roots.runs);
  const failure = await orchestratorFailure(store, id, state.lastSeq);
  if (failure === undefined) return status;
  throw new CliError(
    EXIT.failed,
    `${failure}; ${id} is stopping until its orchestrator says that it has ended` +
      (force ? "." : `: \`orchd stop --force ${id}\` asks it once more.`),
  );
}

/** The one run of a pipeline that goes on; else the one that waits. */
function runOfPipeline(roots: Roots, pipeline: string): string {
  seen(knownPipeline(roots, pipeline));
  const [view] = seen(readStatus(roots, pipeline, Date.now())).view.pipelines;
  const { active = [], queued = [] } = view ?? {};
  const present = active.length > 0 ? active : queued;
  const [run, ...more] = present;
  if (run === undefined)
    throw unknownError(
      `no run of "${pipeline}" is active; \`orchd runs ${pipeline}\` lists those that ended.`,
    );
  if (more.length > 0)
    throw usageError(
      `${present.length} runs of "${pipeline}" are ${active.length > 0 ? "active" : "queued"}; ` +
        `name one of them: ${listText(present.slice(0, 10))}.`,
    );
  return run;
}
