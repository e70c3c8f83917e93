/**
 * `orchd run PIPELINE`: asks the daemon for a run. With `--wait` or `--foreground` it follows the
 * run to its end.
 */
import { defined } from "../../core/defined.ts";
import type { Json } from "../../core/snapshot.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { answerJson, askDaemon, refusal, sayKept, type Question } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { followRun, reportEnd } from "../follow-run.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const pipeline = args.text("pipeline")!;
  const params = parseParams(args.list("param"));
  seen(knownPipeline(roots, pipeline));
  const submit = {
    pipeline,
    ...defined({
      params: Object.keys(params).length === 0 ? undefined : params,
      noCache: args.flag("no-cache") ? true : undefined,
    }),
  };
  if (args.flag("foreground") && !daemonRuns(roots.runs))
    return (await import("../foreground.ts")).runInForeground(context, submit);
  return askForRun(
    context,
    { type: "submit", ...submit },
    args.flag("wait") || args.flag("foreground"),
  );
}

/** Asks for a run, by `submit` or `rerun`, and follows it if `wait` is set. */
export async function askForRun(
  context: CommandContext,
  question: Question,
  wait: boolean,
): Promise<ExitStatus> {
  const { args, terminal } = context;
  const answer = await askDaemon(context, question);
  const json = args.flag("json");
  if (answer.kind === "kept") {
    if (json) terminal.json(answerJson(answer));
    sayKept(terminal, answer.id);
    return wait ? EXIT.noDaemon : EXIT.done;
  }
  const { accepted, run: id } = answer.reply;
  if (!accepted || id === undefined) {
    if (json) terminal.json(answerJson(answer));
    terminal.error(refusal(answer.reply));
    return EXIT.refused;
  }
  if (answer.reply.reason !== undefined && !json) terminal.note(answer.reply.reason);
  // Who asks for a run of a synchronous orchestrator waits for its end (docs/requests.md).
  const synchronous =
    (answer.reply.result as { synchronous?: unknown } | null | undefined)?.synchronous === true;
  if (wait || synchronous) return reportEnd(context, await followRun(context, id));
  if (json) terminal.json(answerJson(answer));
  else terminal.line(id);
  return EXIT.done;
}

/**
 * `NAME=VALUE` texts as params. A value that stands exactly as JSON would write it is that value
 * (`5`, `true`, `["a"]`, `"5"`), and so is any JSON array or object. Every other value is a text,
 * so that `1.10` and `007` stay what they are.
 */
function parseParams(texts: readonly string[]): Record<string, Json> {
  const params = Object.create(null) as Record<string, Json>;
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals < 1)
      throw usageError(
        `--param: ${JSON.stringify(text)} is no NAME=VALUE; ` +
          "write it like -p path=/var/log/dpkg.log.",
      );
    params[text.slice(0, equals)] = paramValue(text.slice(equals + 1));
  }
  return params;
}

function paramValue(text: string): Json {
  try {
    const value = JSON.parse(text) as Json;
    return (value !== null && typeof value === "object") || JSON.stringify(value) === text
      ? value
      : text;
  } catch {
    return text;
  }
}
