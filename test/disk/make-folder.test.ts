import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { systemDisk } from "../../src/disk/disk.ts";
import { ensureDirectory } from "../../src/disk/directories.ts";
import { makeFolder } from "../../src/disk/make-folder.ts";
import { tempRoot } from "../support/temp-root.ts";

it("makes missing folders, says whether it did, and keeps existing ones", () => {
  const { root } = tempRoot();
  expect(makeFolder(join(root, "a/b/c"), 0o700)).toBe(true);
  expect(["a", "a/b", "a/b/c"].map((path) => statSync(join(root, path)).mode & 0o777)).toEqual([
    0o700, 0o700, 0o700,
  ]);
  expect(makeFolder(join(root, "a/b"))).toBe(false);
  expect([makeFolder(join(root, "d/e")), makeFolder(join(root, "d/f"))]).toEqual([true, true]);
  const umask = process.umask();
  for (const path of ["d", "d/e", "d/f"])
    expect(statSync(join(root, path)).mode & 0o777).toBe(0o777 & ~umask);
  mkdirSync(join(root, "real"));
  symlinkSync("real", join(root, "link"));
  expect([makeFolder(join(root, "link")), makeFolder(join(root, "link/below"))]).toEqual([
    false,
    true,
  ]);
});

it("says what is in the way", () => {
  const { root } = tempRoot();
  writeFileSync(join(root, "file"), "");
  symlinkSync("nowhere", join(root, "dangling"));
  expect(() => makeFolder(join(root, "file"))).toThrow(/EEXIST/);
  expect(() => makeFolder(join(root, "file/below"))).toThrow(/ENOTDIR/);
  expect(() => makeFolder(join(root, "dangling"))).toThrow(/ENOENT|EEXIST/);
});

it("ends where the file system answers that the new folder is missing, as in /proc", async () => {
  expect(() => makeFolder("/proc/orchd/below")).toThrow(/ENOENT/);
  await expect(ensureDirectory(systemDisk, "/proc/orchd/below")).rejects.toThrow(/ENOENT/);
});
