/** `orchd status --at TIME`: the past, replayed from the ledgers. */
import { RunStore } from "../../ledger/run-store.ts";
import { countText } from "../../core/counted.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { timeText } from "../../views/moment.ts";
import { readPastStatus } from "../../views/past-status.ts";
import { readRunNear } from "../../views/near-run.ts";
import { looksLikeRun } from "../../views/run-reading.ts";
import { viewRun } from "../../views/run-view.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { printRun, printStatus } from "../status-render.ts";
import { parseTime } from "../time-text.ts";

/** Runs the command. */
export async function statusAt({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const at = parseTime(args.text("at")!, "--at", Date.now());
  if (at > Date.now())
    throw usageError(`--at: ${timeText(at)} is to come; \`orchd next\` shows the coming slots.`);
  const target = args.text("target");
  const store = new RunStore(roots.runs);
  const json = args.flag("json");
  if (target !== undefined && looksLikeRun(target)) {
    const view = viewRun(seen(readRunNear(store, target, at)));
    if (json) terminal.json(view);
    else printRun(terminal, view, at);
    return EXIT.done;
  }
  if (target !== undefined) seen(knownPipeline(roots, target));
  const { view } = seen(readPastStatus(store, target, at));
  if (json) {
    terminal.json(view);
    return EXIT.done;
  }
  const past = `as the ledgers had it at ${timeText(at)}`;
  printStatus(terminal, view, target !== undefined, at, { past });
  if (view.missing.length > 0)
    terminal.note(
      `the ledgers of ${countText(view.missing.length, "run")} of that time are missing: ` +
        "retention has removed them.",
    );
  return EXIT.done;
}
