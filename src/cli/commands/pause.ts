/**
 * `orchd pause PIPELINE`: stops a pipeline's schedule; runs that go on go on, and `orchd run` still
 * works.
 */
import { ask, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import type { ExitStatus } from "../exit.ts";
import { requirePipeline } from "../known-pipeline.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const pipeline = context.args.text("pipeline")!;
  requirePipeline(context.roots, pipeline);
  return report(
    context,
    await ask(context, { type: "pause", pipeline }),
    ({ reason }) => `${pipeline} is paused${reason === undefined ? "" : ` (${reason})`}`,
  );
}
