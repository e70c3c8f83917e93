/**
 * `orchd schema [pipeline|ledger|request|settings]`: JSON Schemas, for editors and for those who
 * read the ledgers.
 */
import { SCHEMAS } from "../../core/json-schemas.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run({ args, terminal }: CommandContext): Promise<ExitStatus> {
  const what = args.text("what") ?? "pipeline";
  if (!Object.hasOwn(SCHEMAS, what))
    throw usageError(
      `there is no schema of "${what}"; there is one of ${Object.keys(SCHEMAS).join(", ")}.`,
    );
  terminal.ownText(`${JSON.stringify(SCHEMAS[what]!(), null, 2)}\n`);
  return EXIT.done;
}
