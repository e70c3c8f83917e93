/** `orchd resume PIPELINE`: lets a paused schedule go on, from its next slot. */
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
    await ask(context, { type: "resume", pipeline }),
    ({ reason }) => `${pipeline} goes on${reason === undefined ? "" : ` (${reason})`}`,
  );
}
