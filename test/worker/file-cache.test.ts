/** The files that a worker keeps: checked, bounded, and shared by its tasks. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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
