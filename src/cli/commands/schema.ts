/**
 * `orchd schema [pipeline|ledger|request|settings]`: JSON Schemas, for editors and for those who
 * read the ledgers.
 */
import * as z from "zod";
import { ledgerJsonSchemas } from "../../core/event.ts";
import { pipelineJsonSchema } from "../../core/pipeline.ts";
import { requestSchema } from "../../core/request.ts";
import { settingsJsonSchema } from "../../core/settings.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";

const SCHEMAS: Readonly<Record<string, () => unknown>> = {
  pipeline: pipelineJsonSchema,
  ledger: ledgerJsonSchemas,
  request: () => z.toJSONSchema(requestSchema, { io: "input", unrepresentable: "any" }),
  settings: settingsJsonSchema,
};

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
