/**
 * What is installed is part of a step's code, and what a lockfile says is not: by any package
 * manager's layout, and by none.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { loader, type Loader } from "./support.ts";

afterAll(stopBundler);

const STEP = 'import { word } from "lib";\nexport default () => word;\n';

const manifest = (name: string, version: string, more: object = {}): string =>
  JSON.stringify({ name, version, type: "module", exports: "./index.js", ...more });

function project(files: Record<string, string> = {}): Loader {
  return loader({
    "schedules/x.yaml": "steps: { a: { uses: ./steps/a.ts } }\n",
    "schedules/steps/a.ts": STEP,
    "package.json": '{"dependencies":{"lib":"1"}}',
    "package-lock.json": '{"packages":{"node_modules/lib":{"version":"1.0.0"}}}',
    ...files,
  });
}

/** A package as a package manager lays it: its manifest and its code. */
const lib = (folder: string, version = "1.0.0", more: object = {}): Record<string, string> => ({
  [`${folder}/package.json`]: manifest("lib", version, more),
  [`${folder}/index.js`]: 'export const word = "one";\n',
});

const bundleOf = async (root: Loader): Promise<string> =>
  (await root.good("x.yaml")).snapshot.steps[0]!.code!.bundle;

function link(root: Loader, from: string, to: string): void {
  mkdirSync(dirname(join(root.root, from)), { recursive: true });
  symlinkSync(to, join(root.root, from));
}

describe("a step's code", () => {
  it("is the same under another lockfile, until the install", async () => {
    const root = project(lib("node_modules/lib"));
    const first = await bundleOf(root);
    root.write("package-lock.json", '{"packages":{"node_modules/lib":{"version":"2.0.0"}}}');
    expect(await bundleOf(root)).toBe(first);
    root.write("node_modules/lib/package.json", manifest("lib", "2.0.0"));
    const second = await bundleOf(root);
    expect(second).not.toBe(first);
    root.write("node_modules/lib/package.json", manifest("lib", "1.0.0"));
    expect(await bundleOf(root)).toBe(first);
  });

  it.each<[string, (root: Loader) => void]>([
    [
      "the imported file",
      (root) => root.write("node_modules/lib/index.js", "export const word = 2;"),
    ],
    [
      "npm's record: another commit of one version",
      (root) =>
        root.write(
          "node_modules/.package-lock.json",
          '{"packages":{"node_modules/lib":{"version":"1.0.0","resolved":"git#b"}}}',
        ),
    ],
    [
      "a package that the package needs",
      (root) => root.write("node_modules/deep/package.json", manifest("deep", "1.0.1")),
    ],
    [
      "a nearer copy of that",
      (root) =>
        root.write("node_modules/lib/node_modules/deep/package.json", manifest("deep", "0")),
    ],
    [
      "a package that it may need, and that was not there",
      (root) => root.write("node_modules/maybe/package.json", manifest("maybe", "1.0.0")),
    ],
  ])("is other code after a change of %s", async (_what, change) => {
    const root = project({
      ...lib("node_modules/lib", "1.0.0", {
        dependencies: { deep: "1" },
        optionalDependencies: { maybe: "1" },
      }),
      "node_modules/.package-lock.json":
        '{"packages":{"node_modules/lib":{"version":"1.0.0","resolved":"git#a"}}}',
      "node_modules/deep/package.json": manifest("deep", "1.0.0"),
    });
    const first = await bundleOf(root);
    expect(await bundleOf(root)).toBe(first);
    change(root);
    expect(await bundleOf(root)).not.toBe(first);
  });

  it("is the same after another package was installed", async () => {
    const root = project({
      ...lib("node_modules/lib"),
      "node_modules/.package-lock.json": '{"packages":{"node_modules/lib":{"version":"1.0.0"}}}',
    });
    const first = await bundleOf(root);
    root.write("node_modules/other/package.json", manifest("other", "1.0.0"));
    root.write(
      "node_modules/.package-lock.json",
      '{"packages":{"node_modules/lib":{"version":"1.0.0"},"node_modules/other":{}}}',
    );
    expect(await bundleOf(root)).toBe(first);
  });

  it("counts what lies behind pnpm's links", async () => {
    const at = (version: string): string => `node_modules/.pnpm/lib@${version}/node_modules`;
    const root = project({
      ...lib(`${at("1.0.0")}/lib`, "1.0.0", { dependencies: { deep: "1" } }),
      [`${at("1.0.0")}/deep/package.json`]: manifest("deep", "1.0.0"),
      ...lib(`${at("2.0.0")}/lib`, "2.0.0"),
    });
    link(root, "node_modules/lib", ".pnpm/lib@1.0.0/node_modules/lib");
    const first = await bundleOf(root);
    root.write(`${at("1.0.0")}/deep/package.json`, manifest("deep", "1.0.1"));
    const second = await bundleOf(root);
    expect(second).not.toBe(first);
    rmSync(join(root.root, "node_modules/lib"));
    link(root, "node_modules/lib", ".pnpm/lib@2.0.0/node_modules/lib");
    expect([first, second]).not.toContain(await bundleOf(root));
  });

  it("holds a linked workspace's own code, and counts that one's packages", async () => {
    const root = project({
      "packages/lib/package.json": manifest("lib", "1.0.0"),
      "packages/lib/index.js": 'import "deep";\nexport const word = "one";\n',
      "packages/lib/node_modules/deep/package.json": manifest("deep", "1.0.0"),
      "packages/lib/node_modules/deep/index.js": "",
    });
    link(root, "node_modules/lib", "../packages/lib");
    const first = await bundleOf(root);
    expect((await root.good("x.yaml")).watched).toContain(join(root.root, "packages/lib/index.js"));
    root.write("packages/lib/node_modules/deep/package.json", manifest("deep", "1.0.1"));
    const second = await bundleOf(root);
    expect(second).not.toBe(first);
    root.write("packages/lib/index.js", 'import "deep";\nexport const word = "two";\n');
    expect([first, second]).not.toContain(await bundleOf(root));
  });

  it("watches what an install writes last, and an optional package that is missing", async () => {
    const root = project({
      ...lib("node_modules/lib"),
      "node_modules/.package-lock.json": "{}",
      "schedules/steps/a.ts": `${STEP}
export const more = async () => import("fast").catch(() => "slow");
`,
    });
    const { watched } = await root.good("x.yaml");
    expect(watched).toEqual(
      expect.arrayContaining(
        [
          "node_modules/.package-lock.json",
          "node_modules/lib/package.json",
          "node_modules/fast",
          "schedules/steps/node_modules/fast",
        ].map((path) => join(root.root, path)),
      ),
    );
    const first = await bundleOf(root);
    root.write("node_modules/fast/package.json", manifest("fast", "1.0.0"));
    root.write("node_modules/fast/index.js", "");
    expect(await bundleOf(root)).not.toBe(first);
  });

  it("counts everything that is installed where it imports by computed names", async () => {
    const root = project({
      "schedules/steps/a.ts": "export default async ({ params }: any) => import(params.name);\n",
      "node_modules/.package-lock.json": '{"packages":{"node_modules/lib":{"version":"1.0.0"}}}',
    });
    const first = await root.good("x.yaml");
    expect(first.snapshot.steps[0]).toMatchObject({
      enableCache: false,
      code: { runtimeImports: true },
    });
    root.write("node_modules/.package-lock.json", '{"packages":{}}');
    expect(await bundleOf(root)).not.toBe(first.snapshot.steps[0]!.code!.bundle);
    root.write(
      "schedules/x.yaml",
      "steps: { a: { uses: ./steps/a.ts, cache: { includeStepCode: false } } }\n",
    );
    expect((await root.good("x.yaml")).snapshot.steps[0]).not.toHaveProperty("enableCache");
  });
});
