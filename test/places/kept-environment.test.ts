/** A step's environment in a warm thread, however the step's module got at it. */
import { expect, it } from "vitest";
import { PoolRig } from "../support/pool-rig.ts";

const KEPT: Record<string, string> = {
  "by name from node:process": 'import { env } from "node:process";\nexport default () => env.WHO;',
  "as a member of node:process":
    'import * as all from "node:process";\nexport default () => all.env.WHO;',
  "from the global as the module was loaded":
    "const { env } = process;\nexport default () => env.WHO;",
  "from the global in the first call": "let env;\nexport default () => (env ??= process.env).WHO;",
  "by require":
    'import { createRequire } from "node:module";\n' +
    'const { env } = createRequire(import.meta.url)("node:process");\n' +
    "export default () => env.WHO;",
};

it.each(Object.entries(KEPT))("is its own where it was kept %s", async (_how, text) => {
  const rig = new PoolRig({ threads: 1 });
  rig.module("who", text);
  rig.module("other", "export default () => 1;");
  for (const who of ["1", "2", "3"]) {
    await rig.start("other", { env: { WHO: "nobody" } }).ended;
    const { result } = await rig.start("who", { env: { WHO: who } }).ended;
    expect(result).toEqual({ ok: true, value: who });
  }
});
