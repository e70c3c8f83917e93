/**
 * Step code as people write it: CommonJS, optional packages, imports by computed names, and
 * packages that are installed while the daemon runs.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { daemonOver, type Daemon } from "../support/daemon.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import type { TempRoot } from "../support/temp-root.ts";

const BUILT = `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.extra = extra;
exports.told = () => console.log("told");
Object.defineProperty(exports, "other", {
  enumerable: true,
  get: () => require("./plain.cjs").task,
});
async function extra() { return "extra"; }
exports.default = async function run() { return "default"; };
`;

const FILES: Record<string, string> = {
  "schedules/commonjs.yaml": `steps:
  function: { uses: ./steps/function.cjs }
  member: { uses: ./steps/function.cjs#also }
  default: { uses: ./steps/built.cjs, hooks: { onSuccess: ./steps/built.cjs#told } }
  named: { uses: ./steps/built.cjs#extra }
  passed: { uses: ./steps/built.cjs#other }
  object: { uses: ./steps/plain.cjs#task }
  script: { uses: ./steps/script.js }
`,
  "schedules/steps/function.cjs":
    'module.exports = () => "function";\nmodule.exports.also = () => "also";\n',
  "schedules/steps/built.cjs": BUILT,
  "schedules/steps/plain.cjs": 'module.exports = { task: async () => "task" };\n',
  "schedules/steps/script.js": 'exports.default = async () => "script";\n',
  "schedules/wrong.yaml": "steps: { a: { uses: ./steps/plain.cjs#tasks } }\n",
  "schedules/built-pipeline.js": `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
const { pipeline, step } = require("orchd");
exports.one = step(async () => 1);
exports.default = pipeline({ name: "built-pipeline", steps: { one: { uses: exports.one } } });
`,
  "schedules/optional.yaml": `steps:
  required: { uses: ./steps/required.cjs }
  imported: { uses: ./steps/imported.mjs }
  tried: { uses: ./steps/tried.ts }
`,
  "schedules/steps/required.cjs": `let fast;
try { fast = require("some-addon"); } catch { fast = undefined; }
let own;
try { own = require("./own-addon.cjs"); } catch { own = undefined; }
module.exports = () => [fast, own].map((one) => one ?? "none");
`,
  "schedules/steps/imported.mjs":
    'export default async () => (await import("some-addon").catch(() => ({}))).word ?? "none";\n',
  "schedules/steps/tried.ts": `export default async () => {
  try {
    return (await import("@scope/some-addon/deep.js")).word;
  } catch (error: any) {
    return error.code;
  }
};
`,
  "schedules/missing.yaml": "steps: { a: { uses: ./steps/missing.ts } }\n",
  "schedules/steps/missing.ts":
    'import { word } from "@scope/some-addon";\nexport default () => word;\n',
  "schedules/computed.yaml": `params: { name: ./jobs/a.mjs }
steps:
  step: { uses: ./steps/computed.ts, params: { name: "\${params.name}" } }
  library: { uses: ./steps/lib/deep/computed.mjs, params: { name: ../../jobs/a.mjs } }
  package: { uses: ./steps/computed.ts, params: { name: installed } }
  builtin: { uses: ./steps/computed.ts, params: { name: "node:path" } }
  required: { uses: ./steps/computed.cjs, params: { name: ./jobs/data.json } }
  resolved: { uses: ./steps/resolved.mjs }
  made: { uses: ./steps/made.mjs }
`,
  "schedules/steps/computed.ts":
    "/* ä */ const own = import.meta.url; export default async ({ params }: any) => " +
    "{ const { default: word } = await import(/* ü */ params.name); " +
    'return typeof word === "object" ? "object" : word; };\n',
  "schedules/steps/lib/deep/computed.mjs":
    'const ü="ü"; export default async ({ params }) => ü + (await import(params.name)).default;\n',
  "schedules/steps/computed.cjs": `const load = require;
module.exports = ({ params }) => [
  require(params.name).n,
  load(params.name).n,
  require.resolve("./jobs/data.json"),
];
`,
  "schedules/steps/resolved.mjs":
    'const url = new URL("./jobs/data.json", import.meta.url);\n' +
    'export default () => [import.meta.resolve("./jobs/a.mjs"), url.href];\n',
  "schedules/steps/made.mjs": `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
export default () => require("./jobs/data.json").n;
`,
  "schedules/steps/jobs/a.mjs": 'export default "a";\n',
  "schedules/steps/jobs/data.json": '{"n":1}\n',
  "schedules/node_modules/installed/package.json":
    '{"name":"installed","version":"1.0.0","type":"module",' +
    '"exports":{"import":"./index.js","require":"./index.cjs"}}',
  "schedules/node_modules/installed/index.js": 'export default "installed";\n',
  "schedules/node_modules/installed/index.cjs": 'module.exports = "installed";\n',
  "schedules/lost.yaml": `steps:
  gone: { uses: ./steps/computed.ts, params: { name: ./jobs/gone.mjs } }
  typed: { uses: ./steps/computed.ts, params: { name: ./folder/one.ts } }
  absent: { uses: ./steps/computed.ts, params: { name: absent } }
`,
  "schedules/folder.yaml": `params: { job: one }
steps: { run: { uses: ./steps/folder.ts, params: { job: "\${params.job}" } } }
`,
  "schedules/steps/folder.ts":
    "export default async ({ params }: any) => (await import(`./folder/${params.job}`)).default;\n",
  "schedules/steps/folder/one.ts": 'export default "one" as string;\n',
  "schedules/steps/folder/README.md": "Not a module.\n",
  "schedules/first.yaml": "steps: { a: { uses: ./steps/first.mjs } }\n",
  "schedules/second.yaml": "steps: { a: { uses: ./steps/second.mjs } }\n",
  "schedules/steps/first.mjs": 'import v from "lib";\nexport default () => `first ${v}`;\n',
  "schedules/steps/second.mjs": 'import v from "lib";\nexport default () => `second ${v}`;\n',
};

/** Puts a package below the root as an install does. */
function install(root: TempRoot, version: number): void {
  root.write("schedules/node_modules/lib/index.js", `export default "v${version}";\n`);
  root.write(
    "schedules/node_modules/lib/package.json",
    JSON.stringify({ name: "lib", version: `${version}.0.0`, type: "module", main: "index.js" }),
  );
  root.write(
    "schedules/node_modules/.package-lock.json",
    JSON.stringify({ packages: { "node_modules/lib": { version: `${version}.0.0` } } }),
  );
}

describe("a daemon", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver({
      ...FILES,
      "schedules/node_modules/lib/index.js": 'export default "v1";\n',
      "schedules/node_modules/lib/package.json":
        '{"name":"lib","version":"1.0.0","type":"module","main":"index.js"}',
    }));
    return async () => void (await daemon.end());
  });

  const run = async (
    pipeline: string,
    params?: Record<string, unknown>,
    more: { readonly noCache?: boolean } = {},
  ): Promise<PlainRun> => ended(root.runs, await submit(root.runs, pipeline, params, more));
  const resultsOf = ({ lines }: PlainRun): Record<string, unknown> =>
    Object.fromEntries(
      lines
        .filter(({ type }) => type === "step.completed" || type === "step.cached")
        .map((line) => [line["step"], (line["outputs"] as { result: unknown }).result]),
    );
  const errorsOf = ({ lines }: PlainRun): Record<string, string> =>
    Object.fromEntries(
      lines
        .filter(({ type }) => type === "step.failed")
        .map((line) => [line["step"], (line["error"] as { message: string }).message]),
    );

  it("runs CommonJS modules by the names that Node sees in them", async () => {
    const done = await run("commonjs");
    expect(resultsOf(done)).toEqual({
      function: "function",
      member: "also",
      default: "default",
      named: "extra",
      passed: "task",
      object: "task",
      script: "script",
    });
    expect(done.lines.find(({ type }) => type === "hook.completed")).toBeDefined();
    expect(errorsOf(await run("wrong"))).toEqual({
      a: './steps/plain.cjs#tasks exports no "tasks"; it exports task, default',
    });
    expect(resultsOf(await run("built-pipeline"))).toEqual({ one: 1 });
  });

  it("takes a package as optional where its absence is caught, until it is there", async () => {
    const none = { required: ["none", "none"], imported: "none", tried: "ERR_MODULE_NOT_FOUND" };
    expect(resultsOf(await run("optional"))).toEqual(none);
    await expect(run("missing")).rejects.toThrow(
      'Could not resolve "@scope/some-addon": install it with npm install @scope/some-addon',
    );
    root.write(
      "schedules/node_modules/some-addon/package.json",
      '{"name":"some-addon","main":"i.cjs"}',
    );
    root.write("schedules/node_modules/some-addon/i.cjs", 'exports.word = "fast";\n');
    root.write("schedules/steps/own-addon.cjs", 'module.exports = "own";\n');
    expect(resultsOf(await run("optional"))).toEqual({
      required: [{ word: "fast" }, "own"],
      imported: "fast",
      tried: "ERR_MODULE_NOT_FOUND",
    });
  });

  it("finds what is imported by a computed name from the source file, as it then is", async () => {
    const path = join(root.schedules, "steps/jobs");
    const expected = (word: string, n: number): Record<string, unknown> => ({
      step: word,
      library: `ü${word}`,
      package: "installed",
      builtin: "object",
      required: [n, n, join(path, "data.json")],
      resolved: [`file://${path}/a.mjs`, `file://${path}/data.json`],
      made: n,
    });
    expect(resultsOf(await run("computed"))).toEqual(expected("a", 1));
    root.write("schedules/steps/jobs/a.mjs", 'export default "b";\n');
    root.write("schedules/steps/jobs/data.json", '{"n":2}\n');
    const again = await run("computed");
    expect(resultsOf(again)).toEqual(expected("b", 2));
    // Its code is known before it runs, so it alone is cached.
    expect(again.lines.filter(({ type }) => type === "step.cached")).toMatchObject([
      { step: "resolved" },
    ]);
  });

  it("says which file is not there, in which source", async () => {
    const file = join(root.schedules, "steps/computed.ts");
    const at = (name: string): string => join(root.schedules, "steps", name);
    expect(errorsOf(await run("lost"))).toEqual({
      gone: `Cannot find module '${at("jobs/gone.mjs")}' imported from ${file}`,
      typed: expect.stringContaining(
        `${at("folder/one.ts")}, imported from ${file}, is TypeScript`,
      ),
      absent: `Cannot find package 'absent' imported from ${file}`,
    });
  });

  it("bundles a folder that an import names, with every file that comes later", async () => {
    expect(resultsOf(await run("folder", { job: "one.ts" }))).toEqual({ run: "one" });
    root.write("schedules/steps/folder/two.ts", 'export default "two" as string;\n');
    expect(resultsOf(await run("folder", { job: "two.ts" }))).toEqual({ run: "two" });
    root.write("schedules/steps/folder/deep/three.ts", 'export default "three" as string;\n');
    expect(resultsOf(await run("folder", { job: "deep/three.ts" }))).toEqual({ run: "three" });
    root.write("schedules/steps/folder/deep/four.ts", 'export default "four" as string;\n');
    expect(resultsOf(await run("folder", { job: "deep/four.ts" }))).toEqual({ run: "four" });
    rmSync(join(root.schedules, "steps/folder/two.ts"));
    expect(errorsOf(await run("folder", { job: "two.ts" }))).toEqual({
      run: "Module not found in bundle: ./folder/two.ts",
    });
    expect(errorsOf(await run("folder", { job: "README.md" }))).toEqual({
      run: expect.stringContaining("README.md is no module"),
    });
  });

  it("never runs an old package after an install, cached or warm", async () => {
    expect(resultsOf(await run("first"))).toEqual({ a: "first v1" });
    install(root, 2);
    // Another module, in a warm thread that has the old package loaded.
    expect(resultsOf(await run("second"))).toEqual({ a: "second v2" });
    const first = await run("first");
    expect(resultsOf(first)).toEqual({ a: "first v2" });
    expect(first.lines.find(({ type }) => type === "step.started")).toMatchObject({
      because: expect.stringContaining("code changed"),
    });
    install(root, 3);
    expect(resultsOf(await run("first", undefined, { noCache: true }))).toEqual({ a: "first v3" });
  });

  it("sees an install by itself, before a slot is due", async () => {
    root.write(
      "schedules/nightly.yaml",
      'schedule: { cron: "* * * * * *" }\nsteps: { a: { uses: ./steps/second.mjs } }\n',
    );
    const seen = (version: number): Promise<true> =>
      awaitSight(
        root.runs,
        () =>
          runsOf(root.runs, "nightly").some(
            (one) => outcomeOf(one) !== undefined && resultsOf(one)["a"] === `second v${version}`,
          ) || undefined,
        `a run with version ${version}`,
      );
    await seen(3);
    install(root, 4);
    await seen(4);
    rmSync(join(root.schedules, "nightly.yaml"));
  });
});
