/** `orchd places`: where steps run, what takes no work and why, and which steps wait. */
import { RunStore } from "../../ledger/run-store.ts";
import { readPlacesView } from "../../views/places-reading.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";
import { printPlaces } from "../places-render.ts";

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const now = Date.now();
  const view = readPlacesView(new RunStore(roots.runs), now);
  if (args.flag("json")) terminal.json(view);
  else printPlaces(terminal, view, now);
  return EXIT.done;
}
