/**
 * What a command makes of a request: it asks, says what came of it, and ends with the exit status
 * for that.
 */
import { userInfo } from "node:os";
import type { Reply, RequestInput } from "../core/request.ts";
import { systemClock } from "../clock.ts";
import { ask, type Answer } from "../ledger/ask.ts";
import type { WorkSign } from "../ledger/work-sign.ts";
import { countText } from "../views/counted.ts";
import type { CommandContext } from "./command.ts";
import { CliError, EXIT, type ExitStatus } from "./exit.ts";

/** A request without the remark on who asks, which {@link askDaemon} adds. */
export type Question = RequestInput extends infer R
  ? R extends RequestInput
    ? Omit<R, "by">
    : never
  : never;

/** A request that was left: a daemon answered it, or it is kept for the next one. */
export type LeftAnswer = Extract<Answer, { readonly kind: "answered" | "kept" }>;

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
  const answer = await ask(
    roots.runs,
    { ...question, by: `cli:${userName()}` },
    systemClock,
    (sign, id) => {
      if (!told) terminal.note(workText(sign, id));
      told = true;
    },
  );
  switch (answer.kind) {
    case "answered":
    case "kept":
      return answer;
    case "silent":
      throw new CliError(
        EXIT.noDaemon,
        `the daemon has not answered request ${answer.id} for a minute; it is kept and will be ` +
          "honoured. See the daemon's log for what holds it up.",
      );
    case "unwritten": {
      const { code, message, syscall } = answer.error;
      const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
      if (syscall === "mkdir" || !denied) throw answer.error;
      throw new CliError(
        EXIT.failed,
        `the request cannot be written (${message}); run the command as a user who may write ` +
          `${roots.runs}, or point --runs at another folder.`,
      );
    }
  }
}

/** What is said, once, where the answer takes long. */
function workText({ waiting, underWay }: WorkSign, id: string): string {
  const goesOn = `it goes on with request ${id} if this command is interrupted`;
  return underWay.includes(id)
    ? `the daemon is at work on it; ${goesOn}.`
    : `the daemon is at work on other requests, ${countText(waiting, "request")} wait; ${goesOn}.`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
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
  if (args.flag("json")) terminal.json(answerJson(answer));
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

/** A request and what came of it, as JSON: `accepted` is null while no daemon has seen it. */
export function answerJson(answer: LeftAnswer): Readonly<Record<string, unknown>> {
  return answer.kind === "kept"
    ? { request: answer.id, accepted: null }
    : { request: answer.id, ...answer.reply };
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
