/**
 * `orchd pause PIPELINE` stops a pipeline's schedule: its runs go on, and `orchd run` still works.
 * `orchd resume PIPELINE` lets it go on, from its next slot.
 */
import { knownPipeline } from "../../views/known-pipeline.ts";
import { askDaemon, report } from "../ask.ts";
import type { CommandHandler } from "../command.ts";
import { seen } from "../exit.ts";

/** Runs `orchd pause`. */
export const runPause = command("pause", "is paused");
/** Runs `orchd resume`. */
export const runResume = command("resume", "goes on");

function command(type: "pause" | "resume", done: string): CommandHandler {
  return async (context) => {
    const pipeline = context.args.text("pipeline")!;
    seen(knownPipeline(context.roots, pipeline));
    return report(
      context,
      await askDaemon(context, { type, pipeline }),
      ({ reason }) => `${pipeline} ${done}${reason === undefined ? "" : ` (${reason})`}`,
    );
  };
}
