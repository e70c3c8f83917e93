/** A bundle is durable before anything names it: a run that has started needs it after a crash. */
import type * as Fs from "node:fs";
import { statSync, utimesSync } from "node:fs";
import { beforeEach, expect, it, vi } from "vitest";
import { sha256 } from "../../src/core/sha256.ts";
import { bundlePath, isStored, storeBundle, storeMap } from "../../src/schedules/bundle-store.ts";
import { tempRoot } from "../support/temp-root.ts";

const calls = vi.hoisted((): string[] => []);
vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  const paths = new Map<number, string>();
  return {
    ...real,
    openSync: (path: string, ...rest: [Fs.OpenMode, Fs.Mode]) => {
      const fd = real.openSync(path, ...rest);
      paths.set(fd, real.statSync(path).isDirectory() ? "the folder" : "the file");
      return fd;
    },
    writeSync: (fd: number, ...rest: [Buffer, number]) => {
      calls.push("write");
      return real.writeSync(fd, ...rest);
    },
    fsyncSync: (fd: number) => {
      calls.push(`sync ${paths.get(fd)}`);
      real.fsyncSync(fd);
    },
    renameSync: (from: string, to: string) => {
      calls.push("rename");
      real.renameSync(from, to);
    },
  };
});

beforeEach(() => void calls.splice(0));

it("is synced before it has its name, and its name is synced before it is used", () => {
  const folder = `${tempRoot().runs}/.orchd/bundles`;
  const sha = storeBundle(folder, "export default 1;\n");
  expect(calls.slice(calls.indexOf("write"))).toEqual([
    "write",
    "sync the file",
    "rename",
    "sync the folder",
  ]);
  expect(isStored(folder, sha)).toBe(true);
});

it("is written again if a power cut left it empty", async () => {
  const folder = `${tempRoot().runs}/.orchd/bundles`;
  const sha = storeBundle(folder, "export default 2;\n");
  const { truncateSync } = await import("node:fs");
  truncateSync(bundlePath(folder, sha));
  expect(isStored(folder, sha)).toBe(false);
  expect(storeBundle(folder, "export default 2;\n")).toBe(sha);
  expect(isStored(folder, sha)).toBe(true);
});

it("is young while it is about to be used: retention takes no file of a day", () => {
  const folder = `${tempRoot().runs}/.orchd/bundles`;
  const text = "export default 4;\n";
  const sha = storeBundle(folder, text);
  storeMap(folder, sha, "{}");
  const path = bundlePath(folder, sha);
  const ageOf = (file: string): number => Date.now() - statSync(file).mtimeMs;
  for (const use of [() => storeBundle(folder, text), () => isStored(folder, sha)]) {
    utimesSync(path, 1, 1);
    use();
    expect(ageOf(path)).toBeLessThan(3_600_000);
  }
  utimesSync(`${path}.map`, 1, 1);
  storeMap(folder, sha, "{}");
  expect(ageOf(`${path}.map`)).toBeLessThan(3_600_000);
});

it("gets its name where a folder has it", async () => {
  const folder = `${tempRoot().runs}/.orchd/bundles`;
  const text = "export default 3;\n";
  const { mkdirSync } = await import("node:fs");
  mkdirSync(bundlePath(folder, sha256(text)), { recursive: true });
  const sha = storeBundle(folder, text);
  expect(isStored(folder, sha)).toBe(true);
});
