/** `orchd export otlp`: traces of runs to a collector, until the process is told to end. */
import type { CommandContext } from "../command.ts";
import { usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. On stdout it prints where it sends to, or the lines of `--stdout`. */
export async function run({
  args,
  roots,
  terminal,
  exportTraces,
}: CommandContext): Promise<ExitStatus> {
  const what = args.text("what");
  if (what !== "otlp")
    throw usageError(`orchd export knows otlp, not ${JSON.stringify(what)}: orchd export otlp.`);
  const file = args.text("file");
  if (file === "") throw usageError("--file needs the path of a file.");
  const isSilent = args.flag("stdout");
  if (isSilent && file !== undefined) throw usageError("give --file or --stdout, not both.");
  const isJson = args.flag("json");
  const isOnce = args.flag("once");
  let target = "";
  const status = await exportTraces({
    ...roots,
    endpoint: args.text("endpoint"),
    from: args.text("from"),
    once: isOnce,
    lines: isSilent ? (text) => terminal.ownText(text) : file,
    begins(endpoint) {
      target = endpoint;
      if (isSilent || (isJson && isOnce)) return;
      if (isJson) terminal.json({ endpoint });
      else terminal.line(`traces: ${endpoint}`);
    },
    ends({ spans, refused }) {
      if (isSilent) return;
      if (isJson) terminal.json({ endpoint: target, spans, refused });
      else terminal.line(`${spans} spans sent${refused === 0 ? "" : `, ${refused} refused`}`);
    },
    tell: (sentence) => terminal.error(sentence),
  });
  return status as ExitStatus;
}
