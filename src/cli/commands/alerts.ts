/** `orchd alerts`: what fires, what waits to be sent, what was given up. */
import { RunStore } from "../../ledger/run-store.ts";
import { readNotifySetup } from "../../schedules/settings-file.ts";
import { readAlerts } from "../../views/alerts-reading.ts";
import { printAlerts } from "../alerts-render.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const now = Date.now();
  const store = new RunStore(roots.runs);
  const view = readAlerts({ store, setup: readNotifySetup(roots.root) }, now);
  if (args.flag("json")) terminal.json(view);
  else printAlerts(terminal, view, now);
  return EXIT.done;
}
