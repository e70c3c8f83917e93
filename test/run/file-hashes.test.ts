/** A file that a step depends on is read again exactly when it may have changed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import type * as Fs from "node:fs";
import {
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { FileHashes } from "../../src/run/file-hashes.ts";
import { tempRoot } from "../support/temp-root.ts";

/** What every look at a file sees, if that is set. */
const sight = vi.hoisted((): { stats: Stats | undefined } => ({ stats: undefined }));
vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  return {
    ...real,
    statSync: (...given: Parameters<typeof real.statSync>) =>
      sight.stats ?? real.statSync(...given),
  };
});

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

it("is read again while an edit in the same tick could look the same", async () => {
  const { root } = tempRoot();
  for (const length of [10, 300_000]) {
    const hashes = new FileHashes();
    const path = join(root, `f${length}`);
    const write = (letter: string): string => {
      writeFileSync(path, letter.repeat(length));
      return sha(letter.repeat(length));
    };
    const one = write("1");
    sight.stats = statSync(path);
    expect(await hashes.of(path)).toBe(one);
    const two = write("2");
    expect(await hashes.of(path)).toBe(two);
    // What looks the same two seconds later is the same.
    const realNow = Date.now.bind(Date);
    const spy = vi.spyOn(Date, "now").mockImplementation(() => realNow() + 2_500);
    expect(await hashes.of(path)).toBe(two);
    write("3");
    expect(await hashes.of(path)).toBe(two);
    spy.mockRestore();
    sight.stats = undefined;
  }
});

it("gives up at once what nobody waits for any more, and reads a file once for all", async () => {
  const { root } = tempRoot();
  const path = join(root, "big");
  writeFileSync(path, "");
  truncateSync(path, 40 * 2 ** 30);
  const hashes = new FileHashes();
  const [one, two] = [new AbortController(), new AbortController()];
  setMaxListeners(0, two.signal);
  const first = hashes.of(path, one.signal) as Promise<string>;
  const second = hashes.of(path, two.signal) as Promise<string>;
  // More than are read at the same time.
  const waiting = Array.from({ length: 20 }, (_, n) => {
    const other = join(root, `big${n}`);
    writeFileSync(other, "");
    truncateSync(other, 40 * 2 ** 30);
    return hashes.of(other, two.signal) as Promise<string>;
  });
  const ends = Promise.allSettled([second, ...waiting]);
  const began = performance.now();
  one.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  two.abort(new Error("enough too"));
  for (const end of await ends) expect(end).toMatchObject({ reason: { message: "enough too" } });
  expect(performance.now() - began).toBeLessThan(2_000);
  await expect(hashes.of(path, one.signal)).rejects.toThrow("enough");
  // The next caller is served: nothing is left that keeps its turn.
  const text = "x".repeat(1_000_000);
  writeFileSync(join(root, "f"), text);
  expect(await hashes.of(join(root, "f"))).toBe(sha(text));
});

it("reads only so many small files within one turn", async () => {
  const { root } = tempRoot();
  const hashes = new FileHashes();
  const text = "x".repeat(200_000);
  const given = Array.from({ length: 100 }, (_, n) => {
    const path = join(root, `f${n}`);
    writeFileSync(path, text);
    return hashes.of(path);
  });
  const atOnce = given.filter((hash) => typeof hash === "string").length;
  expect(atOnce).toBe(20);
  expect(new Set(await Promise.all(given.map(async (hash) => hash)))).toEqual(new Set([sha(text)]));
});
