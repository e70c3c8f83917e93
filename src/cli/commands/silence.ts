/**
 * `orchd silence PIPELINE --for 2h`: nobody is told of the pipeline for some time. Its schedule
 * goes on, and what still holds then is told after it.
 */
import { defined } from "../../core/defined.ts";
import { MAX_DURATION_MS, parseDuration } from "../../core/duration.ts";
import { iso } from "../../core/time.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { timeText } from "../../views/moment.ts";
import type { Arguments } from "../arguments.ts";
import { askDaemon, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { seen, usageError, type ExitStatus } from "../exit.ts";
import { parseTime } from "../time-text.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const pipeline = args.text("pipeline")!;
  seen(knownPipeline(roots, pipeline));
  const until = parseEnd(args, Date.now());
  const answer = await askDaemon(context, {
    type: "silence",
    pipeline,
    until: until === null ? null : iso(until),
    ...defined({ because: args.text("because") }),
  });
  return report(context, answer, ({ reason }) => {
    if (until !== null)
      return `nobody is told of ${pipeline} until ${timeText(until)}; its schedule goes on`;
    return `people are told of ${pipeline} again${reason === undefined ? "" : ` (${reason})`}`;
  });
}

/** When the silence ends, in milliseconds since 1970; null: now. */
function parseEnd(args: Arguments, now: number): number | null {
  const [length, until] = [args.text("for"), args.text("until")];
  const given = [length, until, args.flag("end") ? "" : undefined].filter(
    (one) => one !== undefined,
  );
  if (given.length !== 1)
    throw usageError("give one of --for 2h, --until TIME and --end, which ends a silence.");
  if (length !== undefined) {
    const milliseconds = parseDuration(length) ?? 0;
    if (milliseconds <= 0 || milliseconds > MAX_DURATION_MS)
      throw usageError(`--for: ${JSON.stringify(length)} is no duration; write it like 30m or 2h.`);
    return now + milliseconds;
  }
  if (until === undefined) return null;
  const end = parseTime(until, "--until", now);
  if (end <= now)
    throw usageError(`--until: ${timeText(end)} has passed; name a time that comes, or --for 2h.`);
  return end;
}
