/** A bundle is remembered exactly as long as nothing that went into it can have changed. */
import { chmodSync, readlinkSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { bundleModule, type Bundle } from "../../src/schedules/bundle.ts";
import { BundleMemory } from "../../src/schedules/bundle-memory.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import type * as Esbuild from "esbuild";
import { tempRoot } from "../support/temp-root.ts";

const builds = vi.hoisted(() => ({ count: 0 }));
vi.mock("esbuild", async (original) => {
  const real = await original<typeof Esbuild>();
  return {
    ...real,
    build: (options: Parameters<typeof real.build>[0]) => (
      (builds.count += 1),
      real.build(options)
    ),
  };
});

afterAll(stopBundler);
beforeEach(() => void (builds.count = 0));

/** A root whose files count as old, since the memory refuses files that were just written. */
function old(): {
  root: ReturnType<typeof tempRoot>;
  bundle: () => Promise<Bundle & { ok: true }>;
} {
  const root = tempRoot({
    "schedules/a.ts": 'import { b } from "./b";\nexport default () => b;\n',
    "schedules/b.ts": "export const b = 1;\n",
  });
  const realNow = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
  onTestFinished(() => void vi.restoreAllMocks());
  return {
    root,
    async bundle() {
      const bundle = await bundleModule(join(root.schedules, "a.ts"), {
        root: root.root,
        bundlesDir: join(root.runs, ".orchd/bundles"),
      });
      if (!bundle.ok) throw new Error(JSON.stringify(bundle.faults));
      return bundle;
    },
  };
}

it("is made once while nothing changes", async () => {
  const { bundle } = old();
  const first = await bundle();
  expect(await bundle()).toEqual(first);
  expect(await bundle()).toEqual(first);
  expect(builds.count).toBe(1);
});

it("is made again when a module changes, even at the same length", async () => {
  const { root, bundle } = old();
  const first = await bundle();
  writeFileSync(join(root.schedules, "b.ts"), "export const b = 2;\n");
  expect((await bundle()).sha).not.toBe(first.sha);
  expect(builds.count).toBe(2);
});

it("is made again when a file appears that was missing before", async () => {
  const { root, bundle } = old();
  const first = await bundle();
  writeFileSync(join(root.schedules, "b"), "x");
  await bundle().catch(() => undefined);
  rmSync(join(root.schedules, "b"));
  expect((await bundle()).sha).toBe(first.sha);
  expect(builds.count).toBe(3);
});

it("is made again when a package.json or tsconfig.json beside it appears", async () => {
  const { root, bundle } = old();
  await bundle();
  root.write("tsconfig.json", "{}");
  await bundle();
  root.write("schedules/package.json", "{}");
  await bundle();
  expect(builds.count).toBe(3);
});

it("is refused at once when somebody else may write to a module", async () => {
  const { root, bundle } = old();
  await bundle();
  chmodSync(join(root.schedules, "b.ts"), 0o666);
  await expect(bundle()).rejects.toThrow(/may be written by everybody/);
});

it("is made again when its file was damaged or removed", async () => {
  const { root, bundle } = old();
  const path = join(root.runs, ".orchd/bundles", `${(await bundle()).sha}.mjs`);
  truncateSync(path, 3);
  await bundle();
  rmSync(path);
  await bundle();
  await bundle();
  expect(builds.count).toBe(3);
});

it("finds orchd itself, also where its link was lost since", async () => {
  const { root, bundle } = old();
  await bundle();
  const link = join(root.runs, ".orchd/node_modules/orchd");
  const target = readlinkSync(link);
  rmSync(link);
  await bundle();
  expect([readlinkSync(link), builds.count]).toEqual([target, 1]);
});

it("is not remembered if a module was just written", async () => {
  const { bundle } = old();
  vi.restoreAllMocks();
  await bundle();
  await bundle();
  expect(builds.count).toBe(2);
});

it("keeps 1,024 values: the one goes that was asked for least lately", () => {
  const memory = new BundleMemory<number>();
  const remember = (nth: number): void =>
    memory.remember(`key ${nth}`, [], "/nowhere", Date.now(), nth);
  for (let nth = 0; nth < 1_024; nth += 1) remember(nth);
  expect(memory.recall("key 0")).toBe(0);
  remember(1_024);
  expect([0, 1, 2, 1_024].map((nth) => memory.recall(`key ${nth}`))).toEqual([
    0,
    undefined,
    2,
    1_024,
  ]);
});
