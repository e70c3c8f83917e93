/** A file that a step depends on is read again exactly when it may have changed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { FileHashes } from "../../src/run/file-hashes.ts";
import { tempRoot } from "../support/temp-root.ts";

const sha = (text: string): string => createHash("sha256").update(text).digest("hex");

it("gives a file's sha256, whatever its size, or says why it cannot", async () => {
  const { root } = tempRoot();
  const hashes = new FileHashes();
  const path = join(root, "f");
  writeFileSync(path, "one");
  expect(hashes.of(path)).toBe(sha("one"));
  const big = "x".repeat(1_000_000);
  writeFileSync(path, big);
  expect(await hashes.of(path)).toBe(sha(big));
  rmSync(path);
  expect(() => hashes.of(path)).toThrow("is not there");
  mkdirSync(path);
  expect(() => hashes.of(path)).toThrow("is no file");
  rmSync(path, { recursive: true });
  // Reading a FIFO that nobody writes to would never end.
  execFileSync("mkfifo", [path]);
  expect(() => hashes.of(path)).toThrow("is no file");
});

it("sees each change: of equal length, with the time set back, by a rename, in one tick", () => {
  const { root } = tempRoot();
  const hashes = new FileHashes();
  const path = join(root, "f");
  const old = new Date(Date.now() - 60_000);
  writeFileSync(path, "one");
  for (const text of ["two", "six", "ten"]) {
    writeFileSync(path, text);
    expect(hashes.of(path)).toBe(sha(text));
  }
  // The files seem to be old: a young one would be read again anyway.
  const realNow = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
  onTestFinished(() => void vi.restoreAllMocks());
  expect([hashes.of(path), hashes.of(path)]).toEqual([sha("ten"), sha("ten")]);
  utimesSync(path, old, old);
  expect(hashes.of(path)).toBe(sha("ten"));
  writeFileSync(path, "one");
  utimesSync(path, old, old);
  expect(hashes.of(path)).toBe(sha("one"));
  writeFileSync(`${path}2`, "two");
  utimesSync(`${path}2`, old, old);
  renameSync(`${path}2`, path);
  expect(hashes.of(path)).toBe(sha("two"));
});
