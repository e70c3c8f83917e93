/**
 * `orchd run PIPELINE`: asks the daemon for a run. With `--wait` or `--foreground` it follows the
 * run to its end.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { defined } from "../../core/defined.ts";
import { readJson } from "../../core/exact-json.ts";
import type { Json } from "../../core/snapshot.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { answerOf, type Question } from "../../client/asking.ts";
import { askDaemon, refusal, sayKept } from "../ask.ts";
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
    if (json) terminal.json(answerOf(answer));
    sayKept(terminal, answer.id);
    return wait ? EXIT.noDaemon : EXIT.done;
  }
  const { accepted, run: id } = answer.reply;
  if (!accepted || id === undefined) {
    if (json) terminal.json(answerOf(answer));
    terminal.error(refusal(answer.reply));
    return EXIT.refused;
  }
  if (answer.reply.reason !== undefined && !json) terminal.note(answer.reply.reason);
  // Who asks for a run of a synchronous orchestrator waits for its end (docs/requests.md).
  const synchronous =
    (answer.reply.result as { synchronous?: unknown } | null | undefined)?.synchronous === true;
  if (wait || synchronous) return reportEnd(context, await followRun(context, id));
  if (json) terminal.json(answerOf(answer));
  else terminal.line(id);
  return EXIT.done;
}

/**
 * `NAME=VALUE` texts as params. A value that stands exactly as JSON would write it is that value
 * (`5`, `true`, `["a"]`, `"5"`), and so is any JSON array or object. Every other value is a text,
 * so that `1.10`, `007` and a number beyond 2^53 stay what they are.
 */
function parseParams(texts: readonly string[]): Record<string, Json> {
  checkUtf8(texts);
  const params = Object.create(null) as Record<string, Json>;
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals < 1)
      throw usageError(
        `--param: ${JSON.stringify(text)} is no NAME=VALUE; ` +
          "write it like -p path=/var/log/dpkg.log.",
      );
    const name = text.slice(0, equals);
    if (Object.hasOwn(params, name))
      throw usageError(`--param: ${JSON.stringify(name)} is given twice; only one could count.`);
    params[name] = paramValue(name, text.slice(equals + 1));
  }
  return params;
}

function paramValue(name: string, text: string): Json {
  const read = readJson(text);
  if (read.ok)
    return (read.value !== null && typeof read.value === "object") ||
      JSON.stringify(read.value) === text
      ? read.value
      : text;
  // A number that JSON cannot hold is a text as it stands. In a list or map it would be altered.
  if (read.kind === "altered" && /^\s*[[{]/.test(text))
    throw usageError(`--param: the value of ${JSON.stringify(name)} ${read.message}.`);
  return text;
}

/**
 * Node makes U+FFFD of every byte of an argument that is no UTF-8, so the arguments are looked at
 * as they were given.
 */
function checkUtf8(texts: readonly string[]): void {
  if (!texts.some((text) => text.includes("\ufffd"))) return;
  let given: Buffer;
  try {
    given = readFileSync("/proc/self/cmdline");
  } catch {
    return;
  }
  if (!isUtf8(given))
    throw usageError("--param: a value is not UTF-8; convert it, as with iconv -f latin1 -t utf8.");
}
