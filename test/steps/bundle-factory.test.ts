import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { BuildFindings, buildOptions } from "../../src/schedules/user-code.ts";
import { bundleFactory } from "../../src/steps/bundle-factory.ts";

const HELPER = [
  "var __defProp = Object.defineProperty;",
  'var __name = (target, value) => __defProp(target, "name", { value, configurable: true });',
  "",
].join("\n");

const factoryOf = (text: string) => bundleFactory(text, "file:///bundles/it.mjs");

describe("a bundle as a function", () => {
  test("a default export as esbuild writes it, each instance with its own variables", async () => {
    const make = await factoryOf(`${HELPER}
// steps/count.ts
import { basename, dirname as above } from "node:path";
var count = 0;
var count_default = /* @__PURE__ */ __name(async () => \`\${basename("/a/b")} \${above("/a/b")}
  number \${count += 1}\`, "default");
export {
  count_default as default
};
`);
    const [one, other] = [await make!(), await make!()] as { default: () => Promise<string> }[];
    expect(await one!.default()).toBe("b /a\n  number 1");
    expect(await one!.default()).toBe("b /a\n  number 2");
    expect(await other!.default()).toBe("b /a\n  number 1");
    expect(one!.default.name).toBe("default");
  });

  test.each([
    ["an import behind a text", 'var a = `x`;\nimport { b } from "node:fs";\nexport { a };\n'],
    ["an import in a text", 'var a = `\nimport { b } from "node:fs";\n`;\nexport { a };\n'],
    ["an import in a comment", '/*\nimport { b } from "node:fs";\n*/\nvar a;\nexport { a };\n'],
    [
      "an import in a comment behind one that ends at once",
      '/* @__PURE__ */ void 0; /*\nimport { b } from "node:fs";\n*/\nvar a;\nexport { a };\n',
    ],
    ["exports in a text", "var a = `\nexport { a };\n`;\nvar b = a;\n"],
    ["exports at the end of a text", "var a = `\nexport { a };\n`;\n"],
    ["exports in a text that ends in what looks like a comment", "var a = `\nexport { a };\n// `"],
    ["exports that something follows", "var a = 1;\nexport { a };\nvar b = 2;\n"],
    ["a line of a text that begins like an export", "var a = `\nexport it\n`;\nexport { a };\n"],
  ])("none of a bundle with %s", async (_, text) => {
    expect(await factoryOf(text)).toBeUndefined();
  });

  test("texts and comments behind the imports are left as they are", async () => {
    const make = await factoryOf(
      'import * as path from "node:path";\n/*! a licence\n * of two lines */\n' +
        'var a = `one\n  two`, b = path.basename("/x/y");\n' +
        "export {\n  a,\n  b as c\n};\n// the end\n",
    );
    expect({ ...(await make!()) }).toEqual({ a: "one\n  two", c: "y" });
  });

  test("steps of all kinds, as they are bundled", async () => {
    const root = mkdtempSync(join(tmpdir(), "bundle-factory-"));
    const entry = join(root, "steps.ts");
    writeFileSync(join(root, "other.ts"), "export class Other { static of = new Other(); }\n");
    writeFileSync(
      entry,
      'import { join } from "node:path";\nimport { Other } from "./other.ts";\n' +
        "export default async ({ run }: { run: string }) => `${join(run, 'x')}\n`;\n" +
        "/** Of two\n * lines. */\nexport const arrow = () => Other.of;\n" +
        "export function named() {}\n",
    );
    try {
      const options = { root, bundlesDir: join(root, "bundles") };
      const findings = new BuildFindings(entry, undefined);
      const { outputFiles } = await build(buildOptions(entry, options, findings));
      const text = outputFiles.find(({ path }) => path.endsWith(".mjs"))!.text;
      const exports = await (await factoryOf(text))!();
      expect(Object.keys(exports).sort()).toEqual(["arrow", "default", "named"]);
      expect(await (exports["default"] as (of: object) => unknown)({ run: "a" })).toBe("a/x\n");
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});
