/**
 * Loading: what a good file becomes, and that each bad file gets one sentence with file, line,
 * column and field.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { DefinitionReading } from "../../src/schedules/definition-reading.ts";
import { loadPipelineFile } from "../../src/schedules/load-file.ts";
import { loader } from "./support.ts";

afterAll(stopBundler);

const READ = 'export default async () => "read";\nexport const main = async () => "main";\n';

describe("a declared pipeline", () => {
  it("is the same when it is read again, until something that went into it changes", async () => {
    const realNow = Date.now.bind(Date);
    // Files that were just written are never believed to be the same.
    vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
    onTestFinished(() => void vi.restoreAllMocks());
    const root = loader({
      "schedules/p.yaml": "steps: { a: { uses: ./steps/a.ts } }\n",
      "schedules/steps/a.ts": 'import { b } from "./b.ts";\nexport default () => b;\n',
      "schedules/steps/b.ts": "export const b = 1;\n",
    });
    const first = await root.good("p.yaml");
    expect(await root.good("p.yaml")).toBe(first);
    root.write("schedules/steps/b.ts", "export const b = 2;\n");
    const second = await root.good("p.yaml");
    expect(second.digest).not.toBe(first.digest);
    root.write("schedules/p.yaml", "steps: { a: { uses: ./steps/a.ts }, b: { run: 'true' } }\n");
    expect((await root.good("p.yaml")).snapshot.steps).toHaveLength(2);
    const before = await root.good("p.yaml");
    const settings = { ...root.context.settings, runner: { threads: 2 } };
    const other = await loadPipelineFile(join(root.schedules, "p.yaml"), {
      ...root.context,
      settings,
    });
    expect(other.ok && other.loaded).not.toBe(before);
    chmodSync(join(root.schedules, "p.yaml"), 0o666);
    expect(await root.bad("p.yaml")).toEqual([
      expect.stringContaining("may be written by everybody"),
    ]);
    chmodSync(join(root.schedules, "p.yaml"), 0o644);
    rmSync(join(root.schedules, "steps/a.ts"));
    expect(await root.bad("p.yaml")).toEqual([expect.stringContaining("there is no file")]);
  });

  it("that names two exports of a broken module tells its fault once", async () => {
    const root = loader({
      "schedules/p.yaml":
        "steps: { a: { uses: './a.ts#x' }, b: { uses: './a.ts#y' }, c: { uses: ./a.ts } }\n",
      "schedules/a.ts": "export const x = = 1;\n",
    });
    expect(await root.bad("p.yaml")).toEqual([expect.stringContaining('Unexpected "="')]);
  });

  it("that is large lets its reader go, whatever comes of it", async () => {
    const root = loader({
      "schedules/good.yaml": `steps: { a: { run: 'true' } }\n# ${"x".repeat(9_000)}\n`,
      "schedules/bad.yaml": `steps: 1\n# ${"x".repeat(9_000)}\n`,
      "schedules/small.yaml": "steps: { a: { run: 'true' } }\n",
    });
    const held: string[] = [];
    const ended: string[] = [];
    for (const name of ["good.yaml", "bad.yaml", "small.yaml"])
      await loadPipelineFile(join(root.schedules, name), {
        ...root.context,
        readerOf: (file) => {
          held.push(basename(file));
          return Object.assign(new DefinitionReading(file), { end: () => ended.push(name) });
        },
      });
    expect([held, ended]).toEqual([
      ["good.yaml", "bad.yaml"],
      ["good.yaml", "bad.yaml"],
    ]);
  });

  it("that its orchestrator refuses is a bad file, with the place of the bad key", async () => {
    const root = loader({
      "schedules/p.yaml": "steps: { a: { run: 'true' } }\nexecutionMode: fail_fast\n",
    });
    const asked: unknown[] = [];
    const result = await loadPipelineFile(join(root.schedules, "p.yaml"), {
      ...root.context,
      refuses: ({ name }, scheduled) => (
        asked.push([name, scheduled]),
        Promise.resolve({ path: ["executionMode"], message: "is refused" })
      ),
    });
    expect(asked).toEqual([["p", false]]);
    expect(result).toMatchObject({
      ok: false,
      errors: [{ line: 2, column: 16, field: "executionMode", message: "is refused" }],
    });
  });

  it("is ready with its code bundled and its schedule resolved", async () => {
    const root = loader({
      "schedules/log-digest.yaml": `
params: { path: /var/log/dpkg.log }
schedule: { cron: "*/5 * * * *", timezone: Europe/Berlin }
hooks: { init: ./steps/read.ts#main }
steps:
  archive: { run: "gzip", inputs: { report: digest } }
  digest: { uses: ./steps/read.ts, inputs: { lines: read } }
  read: { uses: "./steps/read.ts#main", params: { path: "\${params.path}" } }
`,
      "schedules/steps/read.ts": READ,
    });
    const loaded = await root.good("log-digest.yaml");
    expect(loaded).toMatchObject({
      name: "log-digest",
      file: join(root.schedules, "log-digest.yaml"),
      schedules: [{ cron: "*/5 * * * *", timezone: "Europe/Berlin" }],
      warnings: [],
    });
    expect(loaded.snapshot.steps.map(({ id }) => id)).toEqual(["read", "digest", "archive"]);
    const [read, digest] = loaded.snapshot.steps;
    expect(read).toMatchObject({
      params: { path: "/var/log/dpkg.log" },
      code: { pick: "export:main", source: "./steps/read.ts#main" },
    });
    expect(digest!.code!.pick).toBe("export:default");
    expect(digest!.code!.bundle).toBe(read!.code!.bundle);
    expect(loaded.snapshot.hooks.init).toMatchObject({ pick: "export:main" });
    expect(loaded.watched).toEqual(
      expect.arrayContaining([
        join(root.schedules, "log-digest.yaml"),
        join(root.schedules, "steps/read.ts"),
      ]),
    );
    const text = readFileSync(join(root.bundlesDir, `${read!.code!.bundle}.mjs`));
    expect(createHash("sha256").update(text).digest("hex")).toBe(read!.code!.bundle);
  });

  it("is the same in JSON and in YAML", async () => {
    const steps = { a: { run: "echo 1" } };
    const root = loader({
      "schedules/a.yaml": `name: same\nschedule: {cron: "@daily"}\nsteps: {a: {run: echo 1}}`,
      "schedules/b.json": JSON.stringify({ name: "same", schedule: { cron: "@daily" }, steps }),
    });
    expect((await root.good("a.yaml")).digest).toBe((await root.good("b.json")).digest);
  });

  it("may use anchors and merges", async () => {
    const root = loader({
      "schedules/m.yml":
        "steps:\n  a: &base { run: echo, timeout: 1m }\n  b: { <<: *base, after: [a] }\n",
    });
    expect((await root.good("m.yml")).snapshot.steps[1]).toMatchObject({
      run: "echo",
      timeoutMs: 60_000,
      after: ["a"],
    });
  });
});

describe("a bad file gets one sentence", () => {
  it.each([
    [
      "an unknown key",
      "x.yaml",
      "schedule:\n  cronn: '@daily'\nsteps: {}\n",
      'schedules/x.yaml:2:3: schedule.cronn is not known here; did you mean "cron"?',
    ],
    [
      "an unknown key in JSON",
      "x.json",
      '{\n  "steps": {\n    "a": { "rn": "x" } } }',
      'schedules/x.json:3:12: steps.a.rn is not known here; did you mean "run"?',
    ],
    [
      "a bad cron",
      "x.yaml",
      "steps: {}\nschedule:\n  - cron: '61 * * * *'\n",
      'schedules/x.yaml:3:11: schedule[0].cron "61 * * * *" is no cron pattern: ' +
        "invalid value for minute: 61 (minutes are 0-59)",
    ],
    [
      "a bad zone",
      "x.yaml",
      "schedule: { cron: '@daily', timezone: Europe/Berln }\nsteps: {}\n",
      'schedules/x.yaml:1:39: schedule.timezone "Europe/Berln" is no time zone that this Node ' +
        'knows; did you mean "Europe/Berlin"?',
    ],
    [
      "a cycle",
      "x.yaml",
      "steps:\n  a: { run: x, after: [b] }\n  b: { run: x, after: [a] }\n",
      "schedules/x.yaml:2:16: steps.a.after closes a cycle, so that none of these steps could " +
        "ever start: a needs b needs a",
    ],
    [
      "an unquoted pattern",
      "x.yaml",
      "schedule:\n  cron: * * * * *\nsteps: {}\n",
      'schedules/x.yaml:2:9: a text that starts with * must be quoted: write "* * * * *"',
    ],
    [
      "an unquoted */5",
      "x.yaml",
      "schedule:\n  cron: */5 * * * *\nsteps: {}\n",
      'must be quoted: write "*/5 * * * *"',
    ],
    [
      "an unquoted @daily",
      "x.yaml",
      "schedule: \n  cron: @daily\nsteps: {}\n",
      'schedules/x.yaml:2:9: a text that starts with @ must be quoted: write "@daily"',
    ],
    [
      "a key twice",
      "x.yaml",
      "steps:\n  a: { run: x }\n  a: { run: y }\n",
      'schedules/x.yaml:3:3: has the key "a" twice in one map',
    ],
    [
      "a key twice in JSON",
      "x.json",
      '{"steps": {}, "steps": {}}',
      'schedules/x.json:1:15: has the key "steps" twice in one map',
    ],
    [
      "__proto__",
      "x.yaml",
      "steps: { a: { run: x, params: { __proto__: { x: 1 } } } }\n",
      'schedules/x.yaml:1:33: has the key "__proto__", which is refused',
    ],
    [
      "an unknown tag",
      "x.yaml",
      "steps: !js/function {}\n",
      "schedules/x.yaml:1:8: has a tag (!) that is not known here",
    ],
    [
      "two documents",
      "x.yaml",
      "steps: {}\n---\nsteps: {}\n",
      "schedules/x.yaml:2:1: holds more than one document (---)",
    ],
    ["YAML 1.1", "x.yaml", "%YAML 1.1\n---\nsteps: {}\n", "asks for YAML 1.1"],
    ["an empty file", "x.yaml", "\n# nothing\n", "schedules/x.yaml"],
    ["a list", "x.yaml", "- steps\n", "schedules/x.yaml:1:1: must hold a map"],
    [
      "comments in JSON",
      "x.json",
      '{\n  // no\n  "steps": {}\n}',
      "schedules/x.json:2:3: is not valid JSON",
    ],
    ["JSON cut short", "x.json", '{\n  "steps": {', "schedules/x.json:2:13: is not valid JSON"],
    [
      "a name that is none",
      "X y.yaml",
      "steps: {}\n",
      "schedules/X y.yaml:1:1: the file's name \"X y\" cannot be the pipeline's",
    ],
    [
      "a condition",
      "x.yaml",
      "steps:\n  a:\n    run: x\n    when: params.a = 1\n",
      "schedules/x.yaml:4:11: steps.a.when has a single =",
    ],
    [
      "a package instead of a path",
      "x.yaml",
      "steps: { a: { uses: steps/read.ts } }\n",
      'schedules/x.yaml:1:21: steps.a.uses names "steps/read.ts", which is no path: ' +
        "begin it with ./ for a file beside this one (./steps/read.ts)",
    ],
    [
      "a missing module",
      "x.yaml",
      "steps:\n  a: { uses: ./steps/raed.ts }\n",
      "schedules/x.yaml:2:14: steps.a.uses names ./steps/raed.ts, but there is no file " +
        'schedules/steps/raed.ts; did you mean "read.ts"?',
    ],
    [
      "a module without its ending",
      "x.yaml",
      "steps: { a: { uses: ./steps/read } }\n",
      'did you mean "read.ts"?',
    ],
    [
      "a missing export",
      "x.yaml",
      "steps: { a: { uses: './steps/read.ts#mian' } }\n",
      'schedules/x.yaml:1:21: steps.a.uses names export "mian" of ./steps/read.ts, ' +
        'which exports default, main; did you mean "main"?',
    ],
    [
      "a module that is broken",
      "x.yaml",
      "steps: { a: { uses: ./steps/broken.ts } }\n",
      'schedules/steps/broken.ts:2:11: Unexpected "=" (in the code of steps.a.uses in x.yaml)',
    ],
    [
      "a module that imports what is not there",
      "x.yaml",
      "steps: { a: { uses: ./steps/lonely.ts } }\n",
      'schedules/steps/lonely.ts:1:15: Could not resolve "./gone.ts"',
    ],
    [
      "a package that is not installed",
      "x.yaml",
      "steps: { a: { uses: ./steps/package.ts } }\n",
      'schedules/steps/package.ts:1:15: Could not resolve "@no/such-package/x": ' +
        "install it with npm install @no/such-package",
    ],
    [
      "a missing orchestrator",
      "x.yaml",
      "orchestrator: { uses: ./o.ts }\nsteps: {}\n",
      "schedules/x.yaml:1:23: orchestrator.uses names ./o.ts, but there is no file schedules/o.ts",
    ],
    ["a wrong ending", "x.toml", "a = 1", "a pipeline file ends in .yaml"],
  ])("for %s", async (_, name, text, message) => {
    const root = loader({
      [`schedules/${name}`]: text,
      "schedules/steps/read.ts": READ,
      "schedules/steps/broken.ts": "export default 1;\nconst x = = 2;\n",
      "schedules/steps/lonely.ts": 'import x from "./gone.ts";\nexport default () => x;\n',
      "schedules/steps/package.ts":
        'import x from "@no/such-package/x";\nexport default () => x;\n',
    });
    const problems = await root.bad(name);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
    expect(problems[0]).not.toMatch(/[\u0000-\u001f]/);
  });

  it("for each thing that is wrong, in the order of the text", async () => {
    const root = loader({
      "schedules/x.yaml": "overlap: sometimes\nsteps:\n  a: { run: 1 }\n  b: { uses: 2 }\nfoo: 1\n",
    });
    expect((await root.bad("x.yaml")).map((problem) => problem.split(" ", 1)[0])).toEqual([
      "schedules/x.yaml:1:10:",
      "schedules/x.yaml:3:13:",
      "schedules/x.yaml:4:14:",
      "schedules/x.yaml:5:1:",
    ]);
  });

  it("for a file that is not there, and says which files to look at again", async () => {
    const root = loader({ "schedules/x.yaml": "steps: { a: { uses: ./steps/later.ts } }\n" });
    expect(await root.bad("y.yaml")).toEqual(["schedules/y.yaml: does not exist"]);
    const result = await root.load("x.yaml");
    expect(!result.ok && result.watched).toContain(join(root.schedules, "steps/later.ts"));
  });

  it("that watches what a failed import looked for", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./a.ts } }\n",
      "schedules/a.ts": 'import x from "./deep/gone";\nexport default x;\n',
    });
    const result = await root.load("x.yaml");
    expect(!result.ok && result.watched).toEqual(
      expect.arrayContaining([join(root.schedules, "a.ts"), join(root.schedules, "deep/gone.ts")]),
    );
    root.write("schedules/deep/gone.ts", "export default () => 1;\n");
    expect((await root.load("x.yaml")).ok).toBe(true);
  });
});

describe("a pipeline in code", () => {
  it("is bundled, evaluated and read by the same rules", async () => {
    const root = loader({
      "schedules/coded.ts": `import { helper } from "./lib/helper.ts";
export const read = async (): Promise<string> => helper();
const more = { uses: "./lib/more.ts", inputs: { x: "read" } };
const definition = { schedule: { cron: "@daily" }, steps: { read: { uses: read }, more } };
export default { kind: "pipeline", definition };
`,
      "schedules/lib/helper.ts": 'export const helper = (): string => "h";\n',
      "schedules/lib/more.ts": "export default () => 1;\n",
    });
    const loaded = await root.good("coded.ts");
    expect(loaded.name).toBe("coded");
    expect(loaded.snapshot.steps[0]!.code).toMatchObject({
      pick: "step:uses",
      source: "./coded.ts#read",
    });
    expect(loaded.snapshot.steps[1]!.code).toMatchObject({
      pick: "export:default",
      source: "./lib/more.ts",
    });
    expect(loaded.watched).toEqual(
      expect.arrayContaining(
        ["coded.ts", "lib/helper.ts", "lib/more.ts"].map((name) => join(root.schedules, name)),
      ),
    );
  });

  it("that is dynamic carries its function", async () => {
    const root = loader({
      "schedules/d.mjs":
        'const definition = { name: "dyn", retry: { maxRetries: 2 } };\n' +
        'export default { kind: "dynamic", definition };\n',
    });
    const loaded = await root.good("d.mjs");
    expect(loaded.snapshot).toMatchObject({
      name: "dyn",
      steps: [],
      dynamic: { pick: "function" },
      stepDefaults: { retry: { maxRetries: 2 } },
    });
  });

  it.each([
    ["no default export", "export const x = 1;\n", /has no default export/],
    [
      "code that throws",
      'throw new TypeError("boom at load");\nexport default 1;\n',
      /could not be evaluated: TypeError: boom at load/,
    ],
    [
      "an unknown key",
      `export default {
  kind: "pipeline",
  definition: {
    schedule: { cronn: "x" },
    steps: {} } };
`,
      /x\.ts:4:17: schedule\.cronn is not known here; did you mean "cron"\?/,
    ],
    ["a syntax error", "export default {\n", /schedules\/x\.ts:2:1: /],
  ])("with %s is refused", async (_, text, message) => {
    const root = loader({ "schedules/x.ts": text });
    expect(await root.bad("x.ts")).toEqual([expect.stringMatching(message)]);
  });
});

describe("a bundle", () => {
  it("changes with code, but not with comments, blanks or types", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./s.ts } }\n",
      "schedules/s.ts": "export default () => 1;\n",
    });
    const bundle = async (): Promise<string> =>
      (await root.good("x.yaml")).snapshot.steps[0]!.code!.bundle;
    const first = await bundle();
    root.write("schedules/s.ts", "// said\nexport default ():   number =>\n  1;\n");
    expect(await bundle()).toBe(first);
    root.write("schedules/s.ts", "export default () => 2;\n");
    expect(await bundle()).not.toBe(first);
    expect(existsSync(join(root.bundlesDir, `${first}.mjs`))).toBe(true);
  });

  it("knows the source file's URL and folder, and finds packages as the source would", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./deep/s.ts } }\n",
      "schedules/deep/s.ts":
        'import { word } from "a-package";\nimport { url } from "../other.ts";\n' +
        "export default () => [import.meta.url, import.meta.dirname, url, word];\n",
      "schedules/other.ts": "export const url = import.meta.url;\n",
      "schedules/node_modules/a-package/package.json":
        '{"name":"a-package","type":"module","exports":"./index.js"}',
      "schedules/node_modules/a-package/index.js": 'export const word = "found";\n',
    });
    const loaded = await root.good("x.yaml");
    const { bundle } = loaded.snapshot.steps[0]!.code!;
    const module = (await import(join(root.bundlesDir, `${bundle}.mjs`))) as {
      default: () => unknown;
    };
    const here = (path: string): string => pathToFileURL(join(root.schedules, path)).href;
    expect(module.default()).toEqual([
      here("deep/s.ts"),
      join(root.schedules, "deep"),
      here("other.ts"),
      "found",
    ]);
  });

  it("may use require, and imports orchd by its name", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./s.cjs }, b: { uses: ./t.ts } }\n",
      "schedules/s.cjs":
        'const { join } = require("node:path");\nmodule.exports = () => join("a", "b");\n',
      "schedules/t.ts": 'import { step } from "orchd";\nexport default step(async () => 1);\n',
    });
    const [a, b] = (await root.good("x.yaml")).snapshot.steps;
    const module = (await import(join(root.bundlesDir, `${a!.code!.bundle}.mjs`))) as {
      default: () => unknown;
    };
    expect(module.default()).toBe("a/b");
    expect(readFileSync(join(root.bundlesDir, `${b!.code!.bundle}.mjs`), "utf8")).toContain(
      'from "orchd"',
    );
    expect(existsSync(join(root.bundlesDir, "../node_modules/orchd/package.json"))).toBe(true);
  });

  it("is made of modules that nobody else may write to", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./s.ts } }\n",
      "schedules/s.ts": 'export { default } from "./t.ts";\n',
      "schedules/t.ts": READ,
    });
    chmodSync(join(root.schedules, "t.ts"), 0o666);
    expect(await root.bad("x.yaml")).toEqual([
      expect.stringMatching(/t\.ts may be written by everybody/),
    ]);
  });

  it("is written again if it was damaged", async () => {
    const root = loader({
      "schedules/x.yaml": "steps: { a: { uses: ./s.ts } }\n",
      "schedules/s.ts": READ,
    });
    const path = join(
      root.bundlesDir,
      `${(await root.good("x.yaml")).snapshot.steps[0]!.code!.bundle}.mjs`,
    );
    const before = readFileSync(path, "utf8");
    writeFileSync(path, "");
    await root.good("x.yaml");
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});

describe("orchestrators", () => {
  it("of a file are bundled", async () => {
    const root = loader({
      "schedules/x.yaml": "orchestrator: { uses: ./o.ts, config: { a: 1 } }\nsteps: {}\n",
      "schedules/o.ts": "export default class {}\n",
    });
    expect((await root.good("x.yaml")).snapshot.orchestrator).toMatchObject({
      flavor: "./o.ts",
      code: { pick: "export:default" },
      config: { a: 1 },
    });
  });
});

it("follows links that stay in the folder, as Kubernetes makes them, and no others", async () => {
  const root = loader({ "outside.yaml": "steps: {}\n" });
  mkdirSync(join(root.schedules, "..2026_1"));
  writeFileSync(join(root.schedules, "..2026_1/k.yaml"), "steps: { a: { run: x } }\n");
  symlinkSync("..2026_1", join(root.schedules, "..data"));
  symlinkSync("..data/k.yaml", join(root.schedules, "k.yaml"));
  symlinkSync("../outside.yaml", join(root.schedules, "o.yaml"));
  expect((await root.good("k.yaml")).name).toBe("k");
  expect(await root.bad("o.yaml")).toEqual([
    expect.stringContaining("is a link that leaves the folder"),
  ]);
});
