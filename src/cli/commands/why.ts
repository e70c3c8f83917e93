/**
 * `orchd why PIPELINE [TIME]`: why a slot did or did not run, as a sentence, from the pipeline's
 * ledger. Without a time it is the newest slot that is decided.
 */
import { namesMinute } from "../../core/given-time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { newestSlot } from "../../views/near-slots.ts";
import { slotAnswers } from "../../views/slot-answer.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, type ExitStatus } from "../exit.ts";
import { parseTime } from "../time-text.ts";

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const pipeline = args.text("pipeline")!;
  const text = args.text("time");
  const now = Date.now();
  const given =
    text === undefined ? undefined : Math.floor(parseTime(text, "TIME", now) / 1_000) * 1_000;
  seen(knownPipeline(roots, pipeline));
  const store = new RunStore(roots.runs);
  const time = given ?? newestSlot(store, pipeline) ?? Math.floor(now / 1_000) * 1_000;
  const until = text !== undefined && namesMinute(text) ? time + 59_000 : time;
  const { answers } = seen(slotAnswers(store, pipeline, time, until, now));
  if (args.flag("json")) terminal.json(answers.length === 1 ? answers[0] : answers);
  else for (const { sentence } of answers) terminal.line(sentence);
  return EXIT.done;
}
