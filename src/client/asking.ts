/** Asks the daemon of a root, and tells what came of it. */
import { userInfo } from "node:os";
import { whatLetsWrite } from "../core/read-only.ts";
import type { Reply, RequestInput } from "../core/request.ts";
import { systemClock } from "../clock.ts";
import { ask } from "../ledger/ask.ts";
import type { WorkSign } from "../ledger/work-sign.ts";
import { ClientError } from "./client-error.ts";

/** A request without the remark on who asks. */
export type Question = RequestInput extends infer R
  ? R extends RequestInput
    ? Omit<R, "by">
    : never
  : never;

/** A request that was left: a daemon answered it, or it is kept for the next one. */
export type LeftAnswer =
  | { readonly kind: "answered"; readonly id: string; readonly reply: Reply }
  | { readonly kind: "kept"; readonly id: string };

/**
 * What came of a request: the daemon's reply, and the request's id. `accepted` is null while no
 * daemon runs: the request is kept, and the next daemon honours it.
 */
export interface Answer extends Omit<Reply, "accepted"> {
  /** The request's id: the name of its file. */
  readonly request: string;
  readonly accepted: boolean | null;
}

/** A request and what came of it, in one object. */
export function answerOf(left: LeftAnswer): Answer {
  return left.kind === "kept"
    ? { request: left.id, accepted: null }
    : { request: left.id, ...left.reply };
}

/** How to ask. */
export interface AskOptions {
  /** Which program asks. The name of the user is added to it. */
  readonly by: string;
  /** Called each time that the daemon is seen at work while the answer is not there yet. */
  readonly onWork?: ((sign: WorkSign, id: string) => void) | undefined;
}

/**
 * Leaves a request and waits for the daemon's reply, if a daemon runs.
 *
 * @throws ClientError where a daemon lives and does not answer, or the user may not write the
 *   request; a Node error where it cannot be written for another reason
 */
export async function askDaemonOf(
  runsDir: string,
  question: Question,
  { by, onWork }: AskOptions,
): Promise<LeftAnswer> {
  const request = { ...question, by: `${by}:${userName()}` } as RequestInput;
  const answer = await ask(runsDir, request, systemClock, onWork);
  switch (answer.kind) {
    case "answered":
    case "kept":
      return answer;
    case "silent":
      throw new ClientError(
        "silent",
        `the daemon has not answered request ${answer.id} for a minute; it is kept and will be ` +
          "honoured. See the daemon's log for what holds it up.",
      );
    case "unwritten": {
      const { code, message, syscall } = answer.error;
      const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
      if (syscall === "mkdir" || !denied) throw answer.error;
      throw new ClientError(
        "forbidden",
        `the request cannot be written (${message}); ` +
          whatLetsWrite(code, `run this as a user who may write ${runsDir}`) +
          ", or name another folder of ledgers.",
      );
    }
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
