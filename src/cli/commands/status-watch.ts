/** `orchd status --watch`: the status every second, until `q` or an interrupt. */
import { RunStore } from "../../ledger/run-store.ts";
import { looksLikeRun } from "../../views/run-reading.ts";
import { viewRunNow } from "../../views/run-view.ts";
import { readStatus } from "../../views/status-view.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { pause } from "../../client/looking.ts";
import { printRun, printStatus } from "../status-render.ts";

const EVERY_MS = 1_000;

/** Prints the status again and again; as JSON Lines with `--json`. */
export async function watch(context: CommandContext): Promise<ExitStatus> {
  const { args, terminal } = context;
  if (args.text("at") !== undefined)
    throw usageError("--watch and --at exclude each other: the past does not change.");
  const target = args.text("target");
  const keys = terminal.interactive && !args.flag("json") ? new QuitKey(process.stdin) : undefined;
  try {
    await show(context, target, keys);
  } finally {
    keys?.close();
  }
  return EXIT.done;
}

/** Shows it every second until `keys` says that it is enough. */
async function show(
  { args, roots, terminal }: CommandContext,
  target: string | undefined,
  keys: QuitKey | undefined,
): Promise<void> {
  while (keys?.pressed !== true) {
    const now = Date.now();
    const { view } =
      target !== undefined && looksLikeRun(target)
        ? seen(viewRunNow(new RunStore(roots.runs), target))
        : seen(readStatus(roots, target, now));
    if (args.flag("json")) terminal.jsonLine(view);
    else {
      if (terminal.interactive) terminal.clear();
      const full = new RunStore(roots.runs).whyFull();
      if ("pipelines" in view) printStatus(terminal, view, target !== undefined, now, { full });
      else printRun(terminal, view, now);
    }
    await Promise.race([pause(EVERY_MS), ...(keys === undefined ? [] : [keys.quit])]);
  }
}

/** Hears `q`, and the keys that end a command anywhere. A terminal is as it was after `close`. */
class QuitKey {
  readonly quit: Promise<void>;
  pressed = false;
  readonly #input: NodeJS.ReadStream;

  constructor(input: NodeJS.ReadStream) {
    this.#input = input;
    this.quit = new Promise((resolve) => {
      if (!input.isTTY) return;
      // Without this the terminal gives whole lines only. Ctrl-C is then a key like the others.
      input.setRawMode(true);
      input.on("data", (typed: Buffer) => {
        if (!/[qQ\u0003\u0004]/.test(typed.toString("latin1"))) return;
        this.pressed = true;
        resolve();
      });
    });
  }

  close(): void {
    if (!this.#input.isTTY) return;
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
