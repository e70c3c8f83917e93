/** Results on their way to the disk: what becomes a file, and that no half of one stays. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { removeStaged, stageResult } from "../../src/steps/staged-result.ts";
import { tempRoot } from "../support/temp-root.ts";

const same = vi.hoisted(() => ({ on: false }));
vi.mock(import("node:crypto"), async (original) => {
  const real = await original();
  const randomBytes = ((size: number) =>
    same.on ? Buffer.alloc(size) : real.randomBytes(size)) as typeof real.randomBytes;
  return { ...real, randomBytes };
});

const LONG = "x".repeat(65_537);
function folder(): string {
  const path = join(tempRoot().root, "artifacts");
  mkdirSync(path);
  return path;
}

it.each([
  [65_534, "x", false],
  [65_535, "x", true],
  // Three bytes each.
  [21_844, "€", false],
  [21_845, "€", true],
])("a result of %i times %s in quotes is a file: %s", (length, character, isFile) => {
  const path = folder();
  const json = JSON.stringify(character.repeat(length));
  const staged = stageResult(json, undefined, path);
  expect(staged === undefined).toBe(!isFile);
  expect(readdirSync(path)).toHaveLength(isFile ? 1 : 0);
  if (staged === undefined) return;
  expect(readFileSync(staged.files[0]!.file, "utf8")).toBe(json);
  removeStaged(staged.files);
  expect(readdirSync(path)).toEqual([]);
});

it("of several outputs the long ones are files, and what looks like an artifact too", () => {
  const path = folder();
  const like = { $artifact: "0".repeat(64), bytes: 1 };
  const json = JSON.stringify({ long: LONG, short: "s", like });
  const { value, files } = stageResult(json, ["long", "short", "like"], path)!;
  expect(files.map(({ file }) => readFileSync(file, "utf8"))).toEqual([
    JSON.stringify(LONG),
    JSON.stringify(like),
  ]);
  expect(value).toEqual({ long: files[0]!.ref, short: "s", like: files[1]!.ref });
});

it("where a file cannot be written none stays, and the result goes the other way", () => {
  const path = folder();
  same.on = true;
  onTestFinished(() => void (same.on = false));
  const json = JSON.stringify({ one: LONG, two: LONG });
  expect(stageResult(json, ["one", "two"], path)).toBeUndefined();
  expect(readdirSync(path)).toEqual([]);
});
