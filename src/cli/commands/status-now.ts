/**
 * The status as it is now. This file is on the fast path: every `orchd status` pays for what is
 * imported here.
 */
import { RunStore } from "../../ledger/run-store.ts";
import { looksLikeRun } from "../../views/run-reading.ts";
import { viewRunNow } from "../../views/run-view.ts";
import { readStatus } from "../../views/status-view.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, type ExitStatus } from "../exit.ts";
import { printRun, printStatus } from "../status-render.ts";

/** What the status needs of a command's context. */
export type StatusContext = Pick<CommandContext, "args" | "roots" | "terminal">;

/** Prints it. @throws CliError (exit 3) where there is no such pipeline or run */
export function showStatus({ args, roots, terminal }: StatusContext): ExitStatus {
  const target = args.text("target");
  const json = args.flag("json");
  const now = Date.now();
  if (target !== undefined && looksLikeRun(target)) {
    const { view } = seen(viewRunNow(new RunStore(roots.runs), target));
    if (json) terminal.json(view);
    else printRun(terminal, view, now);
    return EXIT.done;
  }
  const { view } = seen(readStatus(roots, target, now));
  if (json) terminal.json(view);
  else {
    const full = new RunStore(roots.runs).whyFull();
    printStatus(terminal, view, target !== undefined, now, { full });
  }
  return EXIT.done;
}
