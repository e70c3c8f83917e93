/** Where this project lies. It imports nothing of Vitest: a reporter is loaded before any test. */
import { realpathSync } from "node:fs";

/** The project's own folder, with package.json, dist/ and node_modules/. */
export const projectRoot = realpathSync(new URL("../..", import.meta.url).pathname).replace(
  /\/$/,
  "",
);
