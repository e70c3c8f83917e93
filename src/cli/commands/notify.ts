/** `orchd notify`: tells people what went wrong, until the process is told to end. */
import type { CommandContext, NotifyAnswer, TriedMessage } from "../command.ts";
import { usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. It prints one line once it reads the ledgers. */
export async function run({
  args,
  roots,
  terminal,
  tellPeople,
}: CommandContext): Promise<ExitStatus> {
  const test = args.text("test");
  const replay = args.text("replay");
  const dryRun = args.flag("dry-run");
  if (test !== undefined && replay !== undefined)
    throw usageError("Give either --test or --replay.");
  if (dryRun && replay === undefined)
    throw usageError("--dry-run belongs to --replay RUN: it shows what would be sent.");
  const json = args.flag("json");
  const status = await tellPeople({
    ...roots,
    isTerminal: process.stderr.isTTY === true && !json,
    test,
    replay,
    dryRun,
    reads(what) {
      if (json) terminal.json(what);
      else terminal.line(`notify: ${answerText(what)}`);
    },
    trial(messages, untold) {
      if (json) return terminal.json(messages);
      if (messages.length === 0) terminal.line(`Nobody is told of it: ${untold}.`);
      for (const message of messages) for (const line of triedLines(message)) terminal.line(line);
    },
    tell: (sentence) => terminal.error(sentence),
  });
  return status as ExitStatus;
}

function answerText({ channels, rules, heartbeat }: NotifyAnswer): string {
  const parts = [
    channels.length === 0 ? "no channel" : `channels ${channels.join(", ")}`,
    rules === 1 ? "1 rule" : `${rules} rules`,
    ...(heartbeat ? ["a heartbeat"] : []),
  ];
  return parts.join("; ");
}

/** One line each: a line's own control characters are shown as such. */
function triedLines({ channel, text, sent, answer }: TriedMessage): string[] {
  const said = answer === null ? "" : `: ${answer}`;
  const how = sent === null ? "To" : sent ? "Sent to" : "Not sent to";
  const body = text.split("\n").map((line) => (line === "" ? "" : `  ${line}`));
  return [`${how} ${channel}${said}`, ...body, ""];
}
