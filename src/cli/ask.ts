/**
 * What a command makes of a request: it asks, says what came of it, and ends with the exit status
 * for that.
 */
import type { Reply } from "../core/request.ts";
import { answerOf, askDaemonOf, type LeftAnswer, type Question } from "../client/asking.ts";
import { ClientError } from "../client/client-error.ts";
import type { WorkSign } from "../ledger/work-sign.ts";
import { countText } from "../core/counted.ts";
import type { CommandContext } from "./command.ts";
import { CliError, EXIT, type ExitStatus } from "./exit.ts";

/**
 * Leaves a request and waits for the daemon's reply, if a daemon runs.
 *
 * @throws CliError where a daemon lives and does not answer, or the user may not write the request;
 *   a Node error where it cannot be written for another reason
 */
export async function askDaemon(
  { roots, terminal }: CommandContext,
  question: Question,
): Promise<LeftAnswer> {
  let told = false;
  try {
    return await askDaemonOf(roots.runs, question, {
      by: "cli",
      onWork(sign, id) {
        if (!told) terminal.note(workText(sign, id));
        told = true;
      },
    });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new CliError(error.code === "silent" ? EXIT.noDaemon : EXIT.failed, error.message);
  }
}

/** What is said, once, where the answer takes long. */
function workText({ waiting, underWay }: WorkSign, id: string): string {
  const goesOn = `it goes on with request ${id} if this command is interrupted`;
  return underWay.includes(id)
    ? `the daemon is at work on it; ${goesOn}.`
    : `the daemon is at work on other requests, ${countText(waiting, "request")} wait; ${goesOn}.`;
}

/**
 * Says what came of a request, for commands that do no more than ask.
 *
 * @param done the sentence for an accepted request
 * @returns the exit status
 */
export function report(
  { args, terminal }: CommandContext,
  answer: LeftAnswer,
  done: (reply: Reply) => string,
): ExitStatus {
  if (args.flag("json")) terminal.json(answerOf(answer));
  if (answer.kind === "kept") {
    sayKept(terminal, answer.id);
    return EXIT.done;
  }
  if (!answer.reply.accepted) {
    terminal.error(refusal(answer.reply));
    return EXIT.refused;
  }
  if (!args.flag("json")) terminal.line(done(answer.reply));
  return EXIT.done;
}

/** Says that a request is kept for the next daemon. */
export function sayKept(terminal: CommandContext["terminal"], id: string): void {
  terminal.note(
    `no daemon runs: the request is kept (${id}) and will be honoured once \`orchd start\` runs.`,
  );
}

/** The daemon's refusal as a sentence. */
export function refusal(reply: Reply): string {
  const reason = (reply.reason ?? "it gave no reason").trim();
  return `refused: ${reason}${/[.!?]$/.test(reason) ? "" : "."}`;
}
