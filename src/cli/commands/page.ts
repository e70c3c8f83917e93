/** `orchd page`: the page, the API and the event stream, until the process is told to end. */
import type { CommandContext } from "../command.ts";
import type { ExitStatus } from "../exit.ts";

/** Runs the command. It prints where it serves, and nothing else on stdout. */
export async function run({
  args,
  roots,
  terminal,
  servePage,
}: Pick<CommandContext, "args" | "roots" | "terminal" | "servePage">): Promise<ExitStatus> {
  const status = await servePage({
    ...roots,
    listen: args.text("listen"),
    allowRequests: args.flag("allow-requests"),
    tokenFile: args.text("token-file"),
    trustProxy: args.flag("trust-proxy"),
    base: args.text("base"),
    serves(where) {
      if (args.flag("json")) terminal.json(where);
      else terminal.line(`page: ${where.url}`);
    },
    tell: (sentence) => terminal.error(sentence),
  });
  return status as ExitStatus;
}
