/** The files that a worker keeps: checked, bounded, and shared by its tasks. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FileCache } from "../../src/worker/file-cache.ts";
import { tempRoot } from "../support/temp-root.ts";
import { hashOf } from "./worker-world.ts";

const text = (word: string): string => word.repeat(100).slice(0, 100);
const given = (word: string) => () => Promise.resolve(Buffer.from(text(word)));
const none = () => Promise.resolve(undefined);

it("asks once for a file that several want, and checks what an earlier process left", async () => {
  const { root } = tempRoot();
  const hash = hashOf(text("a"));
  let asked = 0;
  const get = () => {
    asked += 1;
    return given("a")();
  };
  const cache = new FileCache(root);
  await Promise.all([cache.use("artifact", hash, get), cache.use("artifact", hash, get)]);
  expect(asked).toBe(1);
  await new FileCache(root).use("artifact", hash, none);
  writeFileSync(join(cache.artifacts, hash), "damaged");
  await new FileCache(root).use("artifact", hash, get);
  expect(asked).toBe(2);
});

it("removes what was used longest ago where it holds too much, and nothing in use", async () => {
  const { root } = tempRoot();
  const cache = new FileCache(root, 250);
  const [a, b, c] = ["a", "b", "c"].map((word) => hashOf(text(word)));
  await cache.use("artifact", a!, given("a"));
  await cache.use("artifact", b!, given("b"));
  await cache.use("bundle", c!, given("c"));
  expect(cache.bytes).toBe(300);
  cache.release("artifact", b!);
  expect(cache.bytes).toBe(200);
  expect(readdirSync(cache.artifacts)).toEqual([a]);
  expect(readdirSync(cache.bundles)).toEqual([`${c}.mjs`]);
});

it("removes what was used longest ago as it is opened, if it may hold less now", () => {
  const { root } = tempRoot();
  const { artifacts, bundles } = new FileCache(root);
  const names = ["a", "b", "c"].map((word) => hashOf(text(word)));
  const paths = [
    join(artifacts, names[0]!),
    join(bundles, `${names[1]!}.mjs`),
    join(artifacts, names[2]!),
  ];
  for (const [index, usedAt] of [2_000, 1_000, 3_000].entries()) {
    writeFileSync(paths[index]!, "x".repeat(100));
    utimesSync(paths[index]!, usedAt, usedAt);
  }
  expect(new FileCache(root, 200).bytes).toBe(200);
  expect(paths.map((path) => existsSync(path))).toEqual([true, false, true]);
  expect(new FileCache(root, 199).bytes).toBe(100);
  expect(paths.map((path) => existsSync(path))).toEqual([false, false, true]);
});

it("refuses a name that is no hash, and a content that is another", async () => {
  const cache = new FileCache(tempRoot().root);
  await expect(cache.use("bundle", "../../x", given("a"))).rejects.toThrow("is no hash");
  await expect(cache.use("bundle", hashOf("other"), given("a"))).rejects.toThrow("damaged");
  await expect(cache.use("bundle", hashOf("other"), none)).rejects.toThrow("not at the broker");
  expect(readdirSync(cache.bundles)).toEqual([]);
});

it("removes what an earlier process left unfinished", () => {
  const { root } = tempRoot();
  const cache = new FileCache(root);
  for (const name of [".part-1", ".staged-1"]) writeFileSync(join(cache.artifacts, name), "x");
  const again = new FileCache(root);
  expect(existsSync(join(again.artifacts, ".part-1"))).toBe(false);
  expect(existsSync(join(again.artifacts, ".staged-1"))).toBe(false);
  expect(again.bytes).toBe(0);
});

it("keeps a bundle's source map beside it, and checks both", async () => {
  const { root } = tempRoot();
  const cache = new FileCache(root);
  const [bundle, map] = [hashOf(text("b")), hashOf(text("m"))];
  await cache.use("bundle", bundle, given("b"));
  await cache.use("artifact", map, given("m"), bundle);
  expect(readFileSync(join(cache.bundles, `${bundle}.mjs.map`), "utf8")).toBe(text("m"));
  await expect(cache.use("artifact", map, given("m"), "../x")).rejects.toThrow("is no hash");
  cache.release("artifact", map, bundle);
});

it("counts a file once that an earlier process left damaged, and has no file of it", async () => {
  const { root } = tempRoot();
  const hash = hashOf(text("a"));
  const { artifacts } = new FileCache(root);
  writeFileSync(join(artifacts, hash), "damaged by a power cut");
  const cache = new FileCache(root);
  await expect(cache.use("artifact", hash, none)).rejects.toThrow("not at the broker");
  expect([cache.bytes, readdirSync(artifacts)]).toEqual([0, []]);
  await cache.use("artifact", hash, given("a"));
  expect(cache.bytes).toBe(100);
  expect(readFileSync(join(artifacts, hash), "utf8")).toBe(text("a"));
});

it("is exactly as large as it may be, and the one that was used last stays longest", async () => {
  const { root } = tempRoot();
  const cache = new FileCache(root, 200);
  const [a, b, c] = ["a", "b", "c"].map((word) => hashOf(text(word)));
  for (const [hash, word] of [
    [a!, "a"],
    [b!, "b"],
  ] as const) {
    await cache.use("artifact", hash, given(word));
    cache.release("artifact", hash);
  }
  expect(cache.bytes).toBe(200);
  // The older one is used again: now the other is the older.
  await cache.use("artifact", a!, none);
  cache.release("artifact", a!);
  await cache.use("artifact", c!, given("c"));
  expect(readdirSync(cache.artifacts).toSorted()).toEqual([a!, c!].toSorted());
});

it("does not remove a file while it is checked, nor one that came and nobody had yet", async () => {
  const { root } = tempRoot();
  const [a, b] = [hashOf(text("a")), hashOf(text("b"))];
  const before = new FileCache(root);
  await before.use("artifact", a, given("a"));
  const cache = new FileCache(root, 100);
  // It is read to be checked, and meanwhile the other one makes the cache too large.
  const checked = cache.use("artifact", a, none);
  await cache.use("artifact", b, given("b"));
  await checked;
  expect(readdirSync(cache.artifacts).toSorted()).toEqual([a, b].toSorted());
  cache.release("artifact", a);
  expect(readdirSync(cache.artifacts)).toEqual([b]);
});

it("leaves no part of a file that cannot be written", async () => {
  const { root } = tempRoot();
  const cache = new FileCache(root);
  const hash = hashOf(text("a"));
  // A folder has its name.
  mkdirSync(join(cache.artifacts, hash));
  await expect(cache.use("artifact", hash, given("a"))).rejects.toThrow(/EISDIR|ENOTEMPTY/);
  expect(readdirSync(cache.artifacts)).toEqual([hash]);
  expect(cache.bytes).toBe(0);
});

it("has a file again that somebody removed, also while a task uses it", async () => {
  const cache = new FileCache(tempRoot().root, 150);
  const [a, b] = [hashOf(text("a")), hashOf(text("b"))];
  await cache.use("bundle", a, given("a"));
  const path = join(cache.bundles, `${a}.mjs`);
  rmSync(path);
  await cache.use("bundle", a, given("a"));
  expect(readFileSync(path, "utf8")).toBe(text("a"));
  rmSync(cache.bundles, { recursive: true });
  await expect(cache.use("bundle", a, none)).rejects.toThrow("not at the broker");
  expect(cache.bytes).toBe(0);
  await cache.use("bundle", a, given("a"));
  expect(cache.bytes).toBe(100);
  // Three tasks use it: it goes with the last.
  await cache.use("artifact", b, given("b"));
  for (const left of [true, true, false]) {
    cache.release("bundle", a);
    expect(existsSync(path)).toBe(left);
  }
});
