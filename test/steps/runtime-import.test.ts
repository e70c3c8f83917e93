/** Imports by computed names: what they find, and which of them keep a thread from others. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { RuntimeImports } from "../../src/steps/runtime-import.ts";
import { tempRoot } from "../support/temp-root.ts";

interface Installed {
  importFrom(file: string, name: unknown): Promise<{ readonly default: unknown }>;
  requireFrom(file: string): NodeJS.Require;
  resolveFrom(file: string, name: unknown): string;
}

let imports: RuntimeImports;
let runtime: Installed;
let file: string;
let folder: string;
beforeEach(() => {
  imports = new RuntimeImports();
  imports.install();
  runtime = (globalThis as Record<symbol, unknown>)[Symbol.for("orchd.runtime")] as Installed;
  folder = tempRoot().root;
  file = join(folder, "step.ts");
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  write("own.mjs", "export default 1");
  write("own.cjs", "module.exports = 2");
  write("typed.ts", "export default 3 as number");
  write("node_modules/pkg/package.json", '{"main":"index.cjs"}');
  write("node_modules/pkg/index.cjs", "module.exports = 4");
});

describe("an import by a computed name", () => {
  it("of a file of the user's own is told: the first one", async () => {
    expect((await runtime.importFrom(file, "./own.mjs")).default).toBe(1);
    expect(imports.loaded).toBe(join(folder, "own.mjs"));
    expect(runtime.requireFrom(file)("./own.cjs")).toBe(2);
    expect(imports.loaded).toBe(join(folder, "own.mjs"));
  });

  it("by require is told too", () => {
    expect(runtime.requireFrom(file)("./own.cjs")).toBe(2);
    expect(imports.loaded).toBe(join(folder, "own.cjs"));
  });

  it("of an installed package or of Node is not told", async () => {
    expect((await runtime.importFrom(file, "pkg")).default).toBe(4);
    expect(runtime.requireFrom(file)("pkg")).toBe(4);
    expect(runtime.requireFrom(file)("node:path")).toBeDefined();
    expect(runtime.requireFrom(file).resolve("pkg")).toContain("node_modules/pkg");
    await runtime.importFrom(file, "node:path");
    await runtime.importFrom(file, "fs");
    expect(imports.loaded).toBeUndefined();
  });

  it("says what is missing, and from where", async () => {
    await expect(runtime.importFrom(file, "./gone.mjs")).rejects.toMatchObject({
      code: "ERR_MODULE_NOT_FOUND",
      message: `Cannot find module '${folder}/gone.mjs' imported from ${file}`,
    });
    await expect(runtime.importFrom(file, "gone")).rejects.toMatchObject({
      code: "ERR_MODULE_NOT_FOUND",
      message: `Cannot find package 'gone' imported from ${file}`,
    });
    expect(imports.loaded).toBeUndefined();
  });

  it.runIf(!("typescript" in process.features))("says what to do about TypeScript", async () => {
    await expect(runtime.importFrom(file, "./typed.ts")).rejects.toMatchObject({
      code: "ERR_UNKNOWN_FILE_EXTENSION",
      message: expect.stringContaining("is TypeScript: name its folder") as string,
    });
  });
});

it.each([
  ["./a.mjs", "file:///srv/steps/a.mjs"],
  ["../a.mjs", "file:///srv/a.mjs"],
  ["/a.mjs", "file:///a.mjs"],
  ["node:fs", "node:fs"],
  ["fs", "fs"],
  ["data:text/javascript,1", "data:text/javascript,1"],
])("%s is %s", (name, url) => {
  expect(runtime.resolveFrom("/srv/steps/step.ts", name)).toBe(url);
});
