/** A folder that another process makes at the same moment is a folder that is there. */
import type * as Fs from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { makeFolder } from "../../src/disk/make-folder.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Folders that somebody makes just after they were missing. */
const rivals = vi.hoisted(() => new Set<string>());
vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  return {
    ...real,
    mkdirSync: (path: string, options: Fs.MakeDirectoryOptions) => {
      try {
        return real.mkdirSync(path, options);
      } finally {
        if (rivals.delete(path)) real.mkdirSync(path, { recursive: true });
      }
    },
  };
});

it("is kept where it comes between a look and the making, at each depth", () => {
  const { root } = tempRoot();
  for (const [at, came] of ["a/b/c", "a/b", "a"].entries()) {
    const above = join(root, String(at));
    rivals.add(join(above, came));
    expect(makeFolder(join(above, "a/b/c/d"))).toBe(true);
    rivals.add(join(above, "x/y"));
    expect(makeFolder(join(above, "x/y"))).toBe(false);
  }
  expect(rivals.size).toBe(0);
});
