/** Which files and folders a bundle depends on, where its imports have an open end. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { afterAll, expect, it } from "vitest";
import { bundleModule } from "../../src/schedules/bundle.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { tempRoot } from "../support/temp-root.ts";

afterAll(stopBundler);

/** What the bundle of `a.ts` depends on, below the folder of schedules. */
async function inputsOf(files: Record<string, string>, empty: readonly string[] = []) {
  const root = tempRoot(files);
  for (const folder of empty) mkdirSync(join(root.schedules, folder), { recursive: true });
  const bundle = await bundleModule(join(root.schedules, "a.ts"), {
    root: root.root,
    bundlesDir: join(root.runs, ".orchd/bundles"),
  });
  expect(bundle).toMatchObject({ ok: true });
  const below = bundle.inputs.map((path) => relative(root.schedules, path));
  return below.filter(
    (path) => !path.startsWith("..") && !/(?:package|tsconfig)\.json$/.test(path),
  );
}

it("an import with an open end in one folder watches that folder alone", async () => {
  const inputs = await inputsOf(
    {
      "schedules/a.ts": "export default (x: string) => import(`./parts/x-${x}.ts`);\n",
      "schedules/parts/x-1.ts": "export default 1;\n",
    },
    ["parts/deep"],
  );
  expect(inputs.toSorted()).toEqual(["a.ts", "parts", "parts/x-1.ts"]);
});

it("one with an open end below a folder watches each folder there, up to 256", async () => {
  const open = "export default (x: string) => import('./parts/' + x + '/m.ts');\n";
  const few = await inputsOf({ "schedules/a.ts": open, "schedules/parts/x/m.ts": "export {};\n" }, [
    "parts/y/deep/deeper",
    "beside",
  ]);
  expect(few.toSorted()).toEqual([
    "a.ts",
    "parts",
    "parts/x",
    "parts/x/m.ts",
    "parts/y",
    "parts/y/deep",
    "parts/y/deep/deeper",
  ]);
  const many = Array.from({ length: 260 }, (_, at) => `parts/f${at}`);
  const most = await inputsOf({ "schedules/a.ts": open, "schedules/parts/f0/m.ts": "" }, many);
  expect(most.filter((path) => /^parts\/f\d+$/.test(path))).toHaveLength(256);
});

it.each([
  ["./helper.js", "helper.ts"],
  ["./helper.js", "helper.tsx"],
  ["./helper.jsx", "helper.tsx"],
  ["./helper.mjs", "helper.mts"],
  ["./helper.cjs", "helper.cts"],
  ["./helper", "helper.ts"],
  ["./helper", "helper.jsx"],
  ["./helper", "helper.json"],
  ["./helper", "helper/index.tsx"],
  ["./there", "there/index.ts"],
])("an import of %s that is missing waits for %s, which answers it", async (asked, file) => {
  const { root, schedules, runs } = tempRoot({
    "schedules/a.ts": `import * as all from "${asked}";\nexport default () => all;\n`,
    "schedules/there/note.txt": "no module",
  });
  const bundle = () =>
    bundleModule(join(schedules, "a.ts"), { root, bundlesDir: join(runs, ".orchd/bundles") });
  const before = await bundle();
  expect(before.ok).toBe(false);
  const path = join(schedules, file);
  expect(before.inputs).toContain(path);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.endsWith(".json") ? "{}" : "export const x = 1;\n");
  expect((await bundle()).ok).toBe(true);
});
