/** `orchd place prepare NAME`: puts orchd on another machine, and says whether it can run steps. */
import type { CommandContext, PreparedPlace } from "../command.ts";
import { usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run({
  args,
  roots,
  terminal,
  preparePlace,
}: CommandContext): Promise<ExitStatus> {
  const action = args.text("action");
  if (action !== "prepare")
    throw usageError(`"${action}" is nothing to do with a place; \`orchd place prepare NAME\` is.`);
  const status = await preparePlace({
    ...roots,
    place: args.text("name") ?? "",
    done(what) {
      if (args.flag("json")) terminal.json(what);
      else for (const line of linesOf(what)) terminal.line(line);
    },
    tell: (sentence) => terminal.error(sentence),
  });
  return status as ExitStatus;
}

const DID: { readonly [did in PreparedPlace["did"]]: string } = {
  copied: "was copied to",
  replaced: "was not whole, and was copied again to",
  there: "is already on",
};

function linesOf(what: PreparedPlace): string[] {
  const { place, host, did, folder, version, protocol, node, platform, removed } = what;
  return [
    `${place}: orchd ${version} ${DID[did]} ${host}, ${folder}`,
    `${place}: Node ${node}, ${platform}, protocol ${protocol}; steps can run there`,
    ...removed.map((id) => `${place}: orchd ${id} was removed there, since nobody used it`),
  ];
}
