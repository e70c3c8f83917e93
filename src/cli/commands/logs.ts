/**
 * `orchd logs RUN [STEP] [-f]`: what a run's steps printed, and the errors of those that failed,
 * with their stacks.
 */
import type { RunState } from "../../core/run-state.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { FollowedRun } from "../../views/followed-run.ts";
import { parseObject } from "../../core/json-object.ts";
import { spokenLine } from "../../core/spoken-line.ts";
import { LineFollower } from "../../views/line-follower.ts";
import { readRunNear } from "../../views/near-run.ts";
import { noSuchStep } from "../../views/run-reading.ts";
import type { CommandContext } from "../command.ts";
import { errorLines } from "../error-text.ts";
import { CliError, EXIT, noViewError, seen, type ExitStatus } from "../exit.ts";
import { LOOK_MS, pause } from "../../client/looking.ts";
import { safeLogLine } from "../terminal-text.ts";
import { span, type Style, type Terminal } from "../terminal.ts";

const STEP_STYLES: readonly Style[] = ["cyan", "magenta", "blue", "yellow", "green"];

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const id = args.text("run")!;
  const step = args.text("step");
  const store = new RunStore(roots.runs);
  const { state } = seen(readRunNear(store, id));
  if (step !== undefined && !state.steps.has(step)) throw noViewError(noSuchStep(state, step));
  const log = new LineFollower(store.runLog(id));
  const width =
    step === undefined ? Math.max(0, ...[...state.steps.keys()].map((name) => name.length)) : 0;
  const look = { step, width, json: args.flag("json"), names: [...state.steps.keys()] };
  /** @returns how many lines there were, whether they are wanted or not */
  const show = (): number => {
    let lines = 0;
    for (const line of log.lines()) {
      lines += 1;
      printLogLine(terminal, line, look);
    }
    return lines;
  };
  const showErrors = ({ steps }: RunState): void => {
    if (args.flag("json")) return;
    for (const [name, { status, error }] of steps) {
      if (status !== "failed" || error === undefined || (step !== undefined && name !== step))
        continue;
      terminal.line(span("red", `${name} failed:`));
      for (const line of errorLines(error)) terminal.line("  ", safeLogLine(line));
    }
  };
  if (!args.flag("follow")) {
    const lines = show();
    showErrors(state);
    if (lines === 0 && !args.flag("json"))
      terminal.note(
        `nothing was printed in ${id}${state.finished === undefined ? " so far" : ""}.`,
      );
    return EXIT.done;
  }
  const followed = new FollowedRun(store, id);
  try {
    for (;;) {
      // Look for the end first: then all lines that were printed before it are read.
      followed.read();
      const now = followed.state;
      show();
      if (now?.finished !== undefined) {
        showErrors(now);
        return EXIT.done;
      }
      if (followed.endLost !== undefined) throw new CliError(EXIT.failed, followed.endLost);
      await pause(LOOK_MS);
    }
  } finally {
    followed.close();
  }
}

/** How {@link printLogLine} prints. */
interface LogLook {
  /** Only this step's lines. */
  readonly step: string | undefined;
  /** Columns for the step's name; 0: it is not printed. */
  readonly width: number;
  readonly json: boolean;
  /** The run's steps: each has a colour. */
  readonly names: readonly string[];
}

/** Prints one line of a run's log, if it is wanted. */
function printLogLine(terminal: Terminal, raw: string, look: LogLook): void {
  const line = parseObject(raw);
  if (line === undefined || (look.step !== undefined && line["step"] !== look.step)) return;
  if (look.json) {
    terminal.rawJsonLine(raw);
    return;
  }
  const step = typeof line["step"] === "string" ? line["step"] : "";
  const text = safeLogLine(
    typeof line["line"] === "string"
      ? spokenLine(line["line"])
      : JSON.stringify(line["line"] ?? null),
  );
  const at = typeof line["at"] === "string" ? line["at"].slice(11, 23) : "";
  const style = STEP_STYLES[Math.max(0, look.names.indexOf(step)) % STEP_STYLES.length];
  const name = look.width === 0 ? "" : [span(style, step.padEnd(look.width)), " "];
  terminal.line(
    span("dim", at),
    " ",
    name,
    line["stream"] === "stderr" ? span("red", "! ") : span("dim", "| "),
    text,
  );
}
