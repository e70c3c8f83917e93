import fs, { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { loadFilesAbout, loadPipelines, readSettings } from "../../src/cli/load-pipelines.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { CompiledVersions } from "../../src/schedules/compiled-versions.ts";
import type { Roots } from "../../src/views/roots.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const STEPS = 'steps: { a: { run: "true" } }\n';

/** Pipelines `p0` to `p9`, each in its file, and loaded from it by an earlier daemon. */
function tenPipelines(): { readonly roots: Roots; readonly file: (name: string) => string } {
  const { root, runs } = tempRoot();
  const schedules = join(root, "schedules");
  mkdirSync(schedules, { recursive: true });
  const file = (name: string): string => join(schedules, name);
  for (let index = 0; index < 10; index += 1) {
    writeFileSync(file(`p${index}.yaml`), STEPS);
    writePipeline(runs, `p${index}`, [{ ...loaded("0 2 * * *"), file: file(`p${index}.yaml`) }]);
  }
  return { roots: { root, schedules, runs }, file };
}

/** How often files of this ending are opened from now on. */
function opensOf(ending: string): () => number {
  const real = fs.openSync;
  const opened: string[] = [];
  const spy = vi.spyOn(fs, "openSync").mockImplementation((path, ...more) => {
    opened.push(String(path));
    return real(path, ...more);
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    spy.mockRestore();
    syncBuiltinESMExports();
  });
  return () => opened.filter((path) => path.endsWith(ending)).length;
}

it("one pipeline's question loads its own file, however many others there are", async () => {
  const { roots } = tenPipelines();
  const opens = opensOf(".yaml");
  const files = await loadFilesAbout(roots, "p7");
  expect(files.map(({ ok, name }) => [ok, name])).toEqual([[true, "p7"]]);
  expect(opens()).toBe(1);
});

it("a copy that claims the name is told with it, whatever the copy is called", async () => {
  const { roots, file } = tenPipelines();
  writeFileSync(file("backup.yaml"), `name: p7\n${STEPS}`);
  const files = await loadFilesAbout(roots, "p7");
  expect(files.map(({ ok, file: path, name }) => [ok, basename(path), name])).toEqual([
    [false, "backup.yaml", "p7"],
    [true, "p7.yaml", "p7"],
  ]);
});

it("a file that is bad keeps its pipeline, under any name", async () => {
  const { roots, file } = tenPipelines();
  writePipeline(roots.runs, "nightly", [{ ...loaded("0 2 * * *"), file: file("n.yaml") }]);
  writeFileSync(file("n.yaml"), "steps: 1\n");
  const files = await loadFilesAbout(roots, "nightly");
  expect(files.map(({ ok, file: path }) => [ok, basename(path)])).toEqual([[false, "n.yaml"]]);
});

it("where the file that held the name has another now, all files are loaded", async () => {
  const { roots, file } = tenPipelines();
  writeFileSync(file("p7.yaml"), `name: other\n${STEPS}`);
  writeFileSync(
    file("made.mjs"),
    'export default { name: "p" + 7, steps: { a: { run: "true" } } };',
  );
  expect((await loadFilesAbout(roots, "p7")).length).toBe(11);
});

it("no ledger is read to load files of which none can contest another's name", async () => {
  const { roots, file } = tenPipelines();
  const opens = opensOf("pipeline.jsonl");
  expect((await loadPipelines(roots)).every(({ ok }) => ok)).toBe(true);
  expect(opens()).toBe(0);
  writeFileSync(file("backup.yaml"), `name: p7\n${STEPS}`);
  expect((await loadPipelines(roots)).filter(({ ok }) => !ok)).toHaveLength(1);
  expect(opens()).toBe(1);
});

it("what the daemon compiled counts where a command asks for it, it keeps none", async () => {
  const { roots, file } = tenPipelines();
  writeFileSync(join(roots.root, "orchd.yaml"), "project: p\n");
  const settings = await readSettings(roots);
  const kept = new RunStore(roots.runs).compiled;
  const [found] = await loadPipelines(roots, [file("p3.yaml")]);
  if (found?.ok !== true) throw new Error("it was refused");
  mkdirSync(dirname(kept), { recursive: true });
  const versions = new CompiledVersions(kept, settings);
  const path = file("p3.yaml");
  const from = { path, realPath: realpathSync(path), text: STEPS, settings, now: Date.now() };
  versions.keep(from, { loaded: { ...found.loaded, tags: ["kept"] }, modules: {} });
  await versions.close();
  const before = readFileSync(kept);
  const tagsOf = async (options?: Parameters<typeof loadPipelines>[2]): Promise<unknown> =>
    (await loadPipelines(roots, undefined, options)).map((one) => one.ok && one.loaded.tags);
  expect(await tagsOf({ asCompiled: true })).toEqual(
    Array.from({ length: 10 }, (_, index) => (index === 3 ? ["kept"] : [])),
  );
  expect(await tagsOf()).toEqual(Array.from({ length: 10 }, () => []));
  expect(readFileSync(kept)).toEqual(before);
});
