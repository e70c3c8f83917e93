/** What is made durable before what, where an earlier daemon's claims go. The disk says it. */
import { beforeEach, expect, it, vi } from "vitest";

const { said, broken } = vi.hoisted(() => ({ said: [] as string[], broken: new Set<string>() }));
const nameOf = (path: unknown): string => String(path).split("/").at(-1)!;
vi.mock("../../src/disk/remove-file.ts", async (original) => {
  const real = await original<{ readonly removeFile: (path: string) => void }>();
  return {
    ...real,
    removeFile: (path: string) => {
      said.push(`remove ${nameOf(path)}`);
      if (broken.has(nameOf(path))) throw new Error("EPERM");
      real.removeFile(path);
    },
  };
});
vi.mock("../../src/disk/sync-path.ts", () => ({
  syncPath: (path: string) => said.push(`sync ${nameOf(path)}`),
}));

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ClaimsFolder } from "../../src/places/pool/claims.ts";
import { tempRoot } from "../support/temp-root.ts";

let folder: string;
beforeEach(() => {
  folder = join(tempRoot().root, "claims");
  said.length = 0;
  broken.clear();
});

/** What earlier daemons' runners left. */
function left(...names: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  for (const name of names)
    writeFileSync(join(folder, name), JSON.stringify({ runs: ["r"], claimed: [] }));
}

it("what is there goes durably, once, before a step may start", () => {
  left("1.1", "2.1", "note.txt");
  const claims = new ClaimsFolder(folder, 3);
  expect(said).toEqual([]);
  claims.clear();
  claims.clear();
  expect(said).toEqual(["remove 1.1", "remove 2.1", "sync claims"]);
  expect(readdirSync(folder)).toEqual(["note.txt"]);
});

it("what cannot be removed is emptied, and that is durable too", () => {
  left("1.1", "2.1");
  broken.add("1.1");
  new ClaimsFolder(folder, 3).clear();
  expect(said).toEqual(["remove 1.1", "sync 1.1", "remove 2.1", "sync claims"]);
  expect(readFileSync(join(folder, "1.1"), "utf8")).toBe("");
  // An empty one says nothing: all may have begun.
  expect(new ClaimsFolder(folder, 4).mayHaveBegun("r", "r#1")).toBe(true);
});

it("a runner's own file is there durably before it begins, in the place of all others", () => {
  left("1.1");
  const claims = new ClaimsFolder(folder, 2);
  expect(claims.begin(1)).toBe(join(folder, "2.1"));
  expect(said).toEqual(["remove 1.1", "sync claims", "sync claims"]);
  // The file of its own daemon must not go with those of others.
  claims.clear();
  expect(readdirSync(folder)).toEqual(["2.1"]);
});

it("nothing is removed at the end of a daemon under which no step started", () => {
  left("1.1");
  const claims = new ClaimsFolder(folder, 2);
  claims.end();
  expect([said, readdirSync(folder)]).toEqual([[], ["1.1"]]);
  claims.clear();
  left("2.2");
  claims.end();
  expect(readdirSync(folder)).toEqual([]);
});

it("a runner has no file where one of its name is there", () => {
  const claims = new ClaimsFolder(folder, 2);
  broken.add("2.1");
  left("2.1");
  expect(claims.begin(1)).toBeUndefined();
});
