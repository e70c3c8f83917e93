/**
 * Asking the daemon, up or down: a request is left, and where a daemon runs its answer is waited
 * for (docs/requests.md).
 *
 * A request that was left is never lost, so a daemon that is down, or goes down meanwhile, is no
 * failure: it is said that the request is kept.
 */
import { userInfo } from "node:os";
import { isAbsolute } from "node:path";
import type { Reply, RequestInput } from "../core/request.ts";
import { readHolder } from "../ledger/daemon-info.ts";
import { waitForReply, writeRequest } from "../ledger/requests.ts";
import { RunStore } from "../ledger/run-store.ts";
import type { CommandContext } from "./command.ts";
import { CliError, EXIT, type ExitStatus } from "./exit.ts";

/** How long a living daemon may take to answer, in milliseconds. */
const PATIENCE_MS = 60_000;
/** How long to wait between two looks at whether the daemon still lives. */
const LOOK_MS = 500;

/** What came of a request. */
export type Answer =
  | { readonly kind: "answered"; readonly id: string; readonly reply: Reply }
  /** No daemon runs; the request is kept. */
  | { readonly kind: "kept"; readonly id: string };

/** A request without the remark on who asks, which {@link ask} adds. */
export type Question = RequestInput extends infer R
  ? R extends RequestInput
    ? Omit<R, "by">
    : never
  : never;

/**
 * Whether someone works on these ledgers who honours requests: a daemon, also one that still
 * recovers; or, for requests that name it, the one run that a foreground process runs (semantics.md
 * 25).
 */
export function daemonRuns(runs: string, run?: string): boolean {
  const holder = readHolder(new RunStore(runs).orchdDir);
  return (
    holder !== null &&
    (holder.role === "daemon" ||
      (holder.role === "foreground" && run !== undefined && holder.run === run))
  );
}

/**
 * Leaves a request and waits for the daemon's word, if one runs.
 *
 * @throws CliError where a daemon lives and does not answer, or the request cannot be written
 */
export async function ask({ roots }: CommandContext, question: Question): Promise<Answer> {
  const id = await leave(roots.runs, question);
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    const alive = daemonRuns(roots.runs, "run" in question ? question.run : undefined);
    const reply = await waitForReply(roots.runs, id, alive ? LOOK_MS : 0);
    if (reply !== null) return { kind: "answered", id, reply };
    if (!alive) return { kind: "kept", id };
  }
  throw new CliError(
    EXIT.noDaemon,
    `the daemon has not answered request ${id} for a minute; it is kept and will be honoured. See the daemon's log for what holds it up.`,
  );
}

async function leave(runs: string, question: Question): Promise<string> {
  try {
    return await writeRequest(runs, { ...question, by: `cli:${userName()}` });
  } catch (error) {
    const { code, message, syscall } = error as NodeJS.ErrnoException;
    if (syscall === "mkdir") throw error;
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw error;
    throw new CliError(
      EXIT.failed,
      `the request cannot be written (${message}); run the command as a user who may write ${runs}, or point --runs at another folder.`,
    );
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}

/**
 * Says what came of a request that has no more to it than that.
 *
 * @param done the sentence for an accepted request
 */
export function report(
  { args, terminal }: CommandContext,
  answer: Answer,
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
export function answerJson(answer: Answer): Readonly<Record<string, unknown>> {
  return answer.kind === "kept"
    ? { request: answer.id, accepted: null }
    : { request: answer.id, ...answer.reply };
}

/** Says that a request is kept for the daemon's return. */
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

/** Whether a text could name a file rather than a pipeline. */
export function looksLikeFile(text: string): boolean {
  return isAbsolute(text) || /[/\\]|\.(?:ya?ml|json|m?[tj]s)$/.test(text);
}
