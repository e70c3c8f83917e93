/** A growing file, line by line, whatever becomes of it meanwhile. */
import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { LineFollower } from "../../src/views/line-follower.ts";
import { tempRoot } from "../support/temp-root.ts";

function followed() {
  const path = join(tempRoot().root, "p.jsonl");
  const follower = new LineFollower(path);
  onTestFinished(() => follower.close());
  return { path, read: () => follower.read(), lines: () => follower.lines() };
}

it("gives each whole line once, and a half one when it is whole", () => {
  const { path, read } = followed();
  expect(read()).toEqual([]);
  writeFileSync(path, "a\nb");
  expect([read(), read()]).toEqual([["a"], []]);
  appendFileSync(path, "c\n\nd\n");
  expect(read()).toEqual(["bc", "", "d"]);
  appendFileSync(path, Buffer.from("ä").subarray(0, 1));
  expect(read()).toEqual([]);
  appendFileSync(path, Buffer.concat([Buffer.from("ä").subarray(1), Buffer.from("\n")]));
  expect(read()).toEqual(["ä"]);
});

it("forgets the half line of a tail that was cut, and goes on from the new end", () => {
  const { path, read } = followed();
  writeFileSync(path, "one\ntwo\nhal");
  expect(read()).toEqual(["one", "two"]);
  truncateSync(path, 8);
  expect(read()).toEqual([]);
  appendFileSync(path, "three\n");
  expect(read()).toEqual(["three"]);
  truncateSync(path, 4);
  expect(read()).toEqual([]);
  appendFileSync(path, "2\n");
  expect(read()).toEqual(["2"]);
});

it("reads a file that was renamed to its end, and then the new one from its beginning", () => {
  const { path, read } = followed();
  writeFileSync(path, "one\n");
  expect(read()).toEqual(["one"]);
  appendFileSync(path, "two\nhalf");
  renameSync(path, `${path}.old`);
  expect(read()).toEqual(["two"]);
  writeFileSync(path, "three\n");
  expect([read(), read()]).toEqual([["three"], []]);
  rmSync(path);
  expect(read()).toEqual([]);
});

it("reads lines that are longer than a block", () => {
  const { path, read } = followed();
  const lines = [300_000, 1, 700_000, 0].map((length) => "x".repeat(length));
  writeFileSync(path, `${lines.join("\n")}\n`);
  expect(read().map(({ length }) => length)).toEqual([300_000, 1, 700_000, 0]);
});

it("reads no more of a long file at a time than a block", () => {
  const { path, lines } = followed();
  const size = 300;
  writeFileSync(path, `${"x".repeat(99_999)}\n`.repeat(size));
  let count = 0;
  for (const line of lines()) {
    expect(line).toHaveLength(99_999);
    count += 1;
    // What was not read yet is gone.
    if (count === 1) truncateSync(path, 300_000);
  }
  expect(count).toBeLessThanOrEqual(3);
});
