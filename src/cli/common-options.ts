/** The options that every command takes. */
import type { OptionSpec } from "./command.ts";

/** The options that every command takes. */
export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  json: { type: "boolean", describe: "print the result as JSON" },
  root: {
    type: "string",
    values: "file",
    describe: "the project's folder (default: ORCHD_ROOT, else the working folder)",
  },
  schedules: {
    type: "string",
    values: "file",
    describe: "the drop folder (default: ROOT/schedules)",
  },
  runs: { type: "string", values: "file", describe: "the folder of ledgers (default: ROOT/runs)" },
};
