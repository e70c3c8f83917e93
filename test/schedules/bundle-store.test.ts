/** A bundle is durable before anything names it: a run that has started needs it after a crash. */
import type * as Fs from "node:fs";
import { beforeEach, expect, it, vi } from "vitest";
import { sha256 } from "../../src/core/sha256.ts";
import { bundlePath, isStored, storeBundle } from "../../src/schedules/bundle-store.ts";
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

it("gets its name where a folder has it", async () => {
  const folder = `${tempRoot().runs}/.orchd/bundles`;
  const text = "export default 3;\n";
  const { mkdirSync } = await import("node:fs");
  mkdirSync(bundlePath(folder, sha256(text)), { recursive: true });
  const sha = storeBundle(folder, text);
  expect(isStored(folder, sha)).toBe(true);
});
