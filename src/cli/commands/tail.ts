/**
 * `orchd tail [PIPELINE] [-f]`: the newest ledger lines, of pipelines and of their runs, in the
 * order in which they were written.
 */
import { defined } from "../../core/defined.ts";
import { PIPELINE_NAME } from "../../core/run-id.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { openFeed } from "../../feed/open-feed.ts";
import { recentLines, type RecentLine } from "../../feed/recent-lines.ts";
import type { CommandContext } from "../command.ts";
import { eventText } from "../event-text.ts";
import { EXIT, unknownError, type ExitStatus } from "../exit.ts";
import { parseCount } from "../number-text.ts";
import { span, type Terminal } from "../terminal.ts";

const DEFAULT_LINES = 10;

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const store = new RunStore(roots.runs);
  const pipeline = args.text("pipeline");
  const count = parseCount(args.text("lines"), "--lines", DEFAULT_LINES, 0);
  const follow = args.flag("follow");
  if (
    pipeline !== undefined &&
    !(PIPELINE_NAME.test(pipeline) && store.pipelines().includes(pipeline))
  ) {
    throw unknownError(
      `there is no ledger of a pipeline "${pipeline}"; \`orchd status\` lists the pipelines.`,
    );
  }
  const print = (line: RecentLine): void =>
    printLine(terminal, line, args.flag("json"), pipeline !== undefined);
  const { lines, position } = recentLines(store, { pipeline }, count);
  for (const line of lines) print(line);
  if (follow) for await (const line of openFeed(store, { pipeline, from: position })) print(line);
  return EXIT.done;
}

function printLine(
  terminal: Terminal,
  { pipeline, run, line }: RecentLine,
  json: boolean,
  one: boolean,
): void {
  if (json) {
    terminal.jsonLine({ pipeline, ...defined({ run }), ...line });
    return;
  }
  const at =
    typeof line["at"] === "string" ? `${line["at"].slice(0, 10)} ${line["at"].slice(11, 23)}` : "";
  const { text, style } = eventText(line, run === undefined);
  const owner = run ?? (one ? "" : pipeline);
  terminal.line(
    span("dim", at),
    " ",
    owner === "" ? "" : [span("bold", owner), " "],
    span(style, text),
  );
}
