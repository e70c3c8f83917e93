/** `orchd status --watch`: the status every second, until the command is interrupted. */
import { RunStore } from "../../ledger/run-store.ts";
import { looksLikeRun } from "../../views/run-reading.ts";
import { viewRunNow } from "../../views/run-view.ts";
import { readStatus } from "../../views/status-view.ts";
import type { CommandContext } from "../command.ts";
import { seen, usageError, type ExitStatus } from "../exit.ts";
import { sleep } from "../pace.ts";
import { printRun, printStatus } from "../status-render.ts";

const EVERY_MS = 1_000;

/** Prints the status again and again; as JSON Lines with `--json`. */
export async function watch(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  if (args.text("at") !== undefined)
    throw usageError("--watch and --at exclude each other: the past does not change.");
  const target = args.text("target");
  for (;;) {
    const now = Date.now();
    const { view } =
      target !== undefined && looksLikeRun(target)
        ? seen(viewRunNow(new RunStore(roots.runs), target))
        : seen(readStatus(roots, target, now));
    if (args.flag("json")) terminal.jsonLine(view);
    else {
      if (terminal.interactive) terminal.clear();
      if ("pipelines" in view) printStatus(terminal, view, target !== undefined, now);
      else printRun(terminal, view, now);
    }
    await sleep(EVERY_MS);
  }
}
