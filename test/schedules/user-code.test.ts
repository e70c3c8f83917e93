/** What a user's modules find where they ask for a `require` of their own, as bundles. */
import { chmodSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { bundleModule } from "../../src/schedules/bundle.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { RuntimeImports } from "../../src/steps/runtime-import.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUNTIME = Symbol.for("orchd.runtime");
afterAll(stopBundler);
afterEach(() => void delete (globalThis as Record<symbol, unknown>)[RUNTIME]);

/** The bundle of a module, as a thread imports it. */
async function moduleOf(source: string, name = "a.ts", more: Record<string, string> = {}) {
  const root = tempRoot({
    [`schedules/${name}`]: source,
    "schedules/b.cjs": "exports.n = 2;\n",
    ...more,
  });
  const folder = realpathSync(root.schedules);
  const bundle = () =>
    bundleModule(join(folder, name), {
      root: realpathSync(root.root),
      bundlesDir: join(root.runs, ".orchd/bundles"),
    });
  const made = await bundle();
  if (!made.ok) throw new Error(JSON.stringify(made.faults));
  const path = join(root.runs, ".orchd/bundles", `${made.sha}.mjs`);
  const load = async (): Promise<(...given: unknown[]) => unknown> => {
    const own = (await import(pathToFileURL(path).href)) as {
      default: (...given: unknown[]) => unknown;
    };
    return own.default;
  };
  return { folder, load, bundle };
}

it.each([".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"])(
  "a module that ends in %s has its own place, and is refused where others may write to it",
  async (ending) => {
    const source = "export const at = __dirname;\n";
    const [path, file] = [`schedules/parts/b${ending}`, `parts/b${ending}`];
    const entry = `import { at } from "./${file}";\nexport default () => at;\n`;
    const { folder, load, bundle } = await moduleOf(entry, "a.ts", { [path]: source });
    expect((await load())()).toBe(join(folder, "parts"));
    chmodSync(join(folder, file), 0o666);
    expect(await bundle()).toMatchObject({
      ok: false,
      faults: [{ message: expect.stringContaining(`b${ending} `) }],
    });
  },
);

it("a file that lies beside modules, and is none, says so where it is imported", async () => {
  const { folder, load } = await moduleOf(
    "export default (name: string) => import(`./parts/${name}`);\n",
    "a.ts",
    { "schedules/parts/b.ts": "export const n = 1;\n", "schedules/parts/README.md": "# notes\n" },
  );
  const made = await load();
  expect(await made("b.ts")).toMatchObject({ n: 1 });
  await expect(made("README.md")).rejects.toThrow(
    new Error(`${join(folder, "parts/README.md")} is no module: it cannot be imported`),
  );
});

describe("a module that asks its require", () => {
  it("has the cache of what was loaded, and the path of what would be", async () => {
    new RuntimeImports().install();
    const { folder, load } = await moduleOf(
      "export default () => [typeof require.cache, require.resolve('./b.cjs')];\n",
    );
    expect((await load())()).toEqual(["object", join(folder, "b.cjs")]);
  });

  it("may pass it on, and what it loads is found from its own place", async () => {
    new RuntimeImports().install();
    const { load } = await moduleOf(
      "const ask = require;\nexport default () => ['./b.cjs'].map((name) => ask(name).n);\n",
    );
    expect((await load())()).toEqual([2]);
  });

  it("may forget a module and load it anew", async () => {
    new RuntimeImports().install();
    const { folder, load } = await moduleOf(
      "export default (path: string) => {\n" +
        "  const first = require(path);\n" +
        "  const [again, known] = [require(path) === first, path in require.cache];\n" +
        "  delete require.cache[path];\n" +
        "  return [again, known, require(path) === first];\n" +
        "};\n",
    );
    expect((await load())(join(folder, "b.cjs"))).toEqual([true, true, false]);
  });

  it("can be loaded where no thread answers, and only its call fails", async () => {
    for (const source of [
      "export default () => require.cache;\n",
      "export default (name: string) => require(name);\n",
      "export default () => require.resolve('./b.cjs');\n",
    ]) {
      const made = await (await moduleOf(source)).load();
      expect(made).toBeTypeOf("function");
      expect(() => made("./b.cjs")).toThrow(TypeError);
    }
  });
});

it("a fault stands where the module has it, whatever stands before it in its line", async () => {
  const first = 'const über = "ä"; import { x } from "./gone.ts";';
  const other = '/* ö */ import { y } from "./lost.ts";';
  const { root, schedules, runs } = tempRoot({
    "schedules/a.ts": `${first}\n${other}\nexport default () => [x, y, über, __dirname];\n`,
  });
  const bundlesDir = join(runs, ".orchd/bundles");
  const bundle = await bundleModule(join(schedules, "a.ts"), { root, bundlesDir });
  expect(bundle.ok ? [] : bundle.faults).toEqual([
    expect.objectContaining({ line: 1, column: first.indexOf('"./gone') + 1 }),
    expect.objectContaining({ line: 2, column: other.indexOf('"./lost') + 1 }),
  ]);
});
