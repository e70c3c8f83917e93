/** The JSON Schemas that `orchd schema` and the page give, by name. */
import * as z from "zod";
import { ledgerJsonSchemas } from "./event.ts";
import { pipelineJsonSchema } from "./pipeline.ts";
import { requestSchema } from "./request.ts";
import { settingsJsonSchema } from "./settings.ts";

/** Each makes its schema when it is asked for. */
export const SCHEMAS: Readonly<Record<string, () => object>> = {
  pipeline: pipelineJsonSchema,
  ledger: ledgerJsonSchemas,
  request: () => z.toJSONSchema(requestSchema, { io: "input", unrepresentable: "any" }),
  settings: settingsJsonSchema,
};
