/** The pipeline files' names in a folder of usual size, and in one with very many other files. */
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type * as Fs from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { PipelineNames } from "../../src/schedules/pipeline-names.ts";
import { tempRoot } from "../support/temp-root.ts";

vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  return { ...real, readdirSync: vi.fn<typeof real.readdirSync>(real.readdirSync) };
});

const listings = (dir: string): number =>
  vi.mocked(readdirSync).mock.calls.filter(([path]) => path === dir).length;

/** A drop folder with what may lie there. */
function folder(): string {
  const { schedules: dir } = tempRoot({
    "schedules/a.yaml": "1",
    "schedules/b.JSON": "1",
    "schedules/c.mts": "1",
    "schedules/_d.yaml": "1",
    "schedules/.e.yaml": "1",
    "schedules/f.yaml~": "1",
    "schedules/#g.yaml#": "1",
    "schedules/h.d.ts": "1",
    "schedules/notes.txt": "1",
  });
  mkdirSync(join(dir, "folder.yaml"));
  symlinkSync("a.yaml", join(dir, "link.yml"));
  symlinkSync("nowhere", join(dir, "torn.js"));
  symlinkSync("folder.yaml", join(dir, "to-folder.ts"));
  return dir;
}
const EXPECTED = ["a.yaml", "b.JSON", "c.mts", "link.yml", "to-folder.ts", "torn.js"];

it("are the same at the first look and at each further one", async () => {
  const names = new PipelineNames(folder());
  for (let look = 0; look < 3; look += 1) expect((await names.list()).sort()).toEqual(EXPECTED);
});

it("hold up nobody while very many other files lie there", async () => {
  const dir = folder();
  const names = new PipelineNames(dir);
  await names.list();
  await names.list();
  expect(listings(dir)).toBe(1);
  for (let file = 0; file < 5_000; file += 1) writeFileSync(join(dir, `out-${file}.gz`), "");
  await names.list();
  expect(listings(dir)).toBe(2);
  for (let look = 0; look < 2; look += 1) expect((await names.list()).sort()).toEqual(EXPECTED);
  expect(listings(dir)).toBe(2);
  for (let file = 0; file < 5_000; file += 1) rmSync(join(dir, `out-${file}.gz`));
  await names.list();
  expect((await names.list()).sort()).toEqual(EXPECTED);
  expect(listings(dir)).toBe(3);
});

it("cannot be told where there is no folder, or something else", async () => {
  const dir = folder();
  for (const [path, code] of [
    [join(dir, "none"), "ENOENT"],
    [join(dir, "a.yaml"), "ENOTDIR"],
  ] as const)
    await expect(new PipelineNames(path).list()).rejects.toMatchObject({ code });
});
