/** `orchd logs RUN [STEP] [-f]`: what a run's steps printed. */
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, type ExitStatus } from "../exit.ts";
import { parseObject } from "../../views/json-line.ts";
import { LineFollower } from "../../views/line-follower.ts";
import { LOOK_MS, pause } from "../pace.ts";
import { noSuchStep, readRun } from "../../views/run-reading.ts";
import { safeLogLine } from "../terminal-text.ts";
import { span, type Style, type Terminal } from "../terminal.ts";

const STEP_STYLES: readonly Style[] = ["cyan", "magenta", "blue", "yellow", "green"];

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const id = args.text("run")!;
  const step = args.text("step");
  const store = new RunStore(roots.runs);
  const { state } = seen(readRun(store, id));
  if (step !== undefined && !state.steps.has(step)) seen(noSuchStep(state, step));
  const log = new LineFollower(store.runLog(id));
  const width =
    step === undefined ? Math.max(0, ...[...state.steps.keys()].map((name) => name.length)) : 0;
  const show = (lines: readonly string[]): void => {
    for (const line of lines)
      printLogLine(terminal, line, {
        step,
        width,
        json: args.flag("json"),
        names: [...state.steps.keys()],
      });
  };
  if (!args.flag("follow")) {
    const lines = log.read();
    show(lines);
    if (lines.length === 0 && !args.flag("json"))
      terminal.note(
        `nothing was printed in ${id}${state.finished === undefined ? " so far" : ""}.`,
      );
    return EXIT.done;
  }
  for (;;) {
    // The end is looked for before the lines are read: what was printed before it is then read for
    // certain.
    const ended = seen(readRun(store, id)).state.finished !== undefined;
    show(log.read());
    if (ended) return EXIT.done;
    await pause(LOOK_MS);
  }
}

/** How {@link printLogLine} prints. */
export interface LogLook {
  /** Only this step's lines. */
  readonly step: string | undefined;
  /** Columns for the step's name; 0: it is not shown. */
  readonly width: number;
  readonly json: boolean;
  /** The run's steps, for a colour each. */
  readonly names: readonly string[];
}

/** Prints one line of a run's log, if it is to be shown. */
export function printLogLine(terminal: Terminal, raw: string, look: LogLook): void {
  const line = parseObject(raw);
  if (line === undefined || (look.step !== undefined && line["step"] !== look.step)) return;
  if (look.json) {
    terminal.rawJsonLine(raw);
    return;
  }
  const step = typeof line["step"] === "string" ? line["step"] : "";
  const text = safeLogLine(
    typeof line["line"] === "string" ? spoken(line["line"]) : JSON.stringify(line["line"] ?? null),
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

/** What `context.log` wrote, for people: `info: 3 files {"bytes":12}`; any other line as it is. */
function spoken(line: string): string {
  if (!line.startsWith('{"level":"')) return line;
  const { level, message, ...rest } = parseObject(line) ?? {};
  if (typeof level !== "string" || typeof message !== "string") return line;
  return `${level}: ${message}${Object.keys(rest).length === 0 ? "" : ` ${JSON.stringify(rest)}`}`;
}
