/** The first line of a run's ledger, however long it is, and what is none. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readHeaderLine } from "../../src/ledger/header-line.ts";
import { tempRoot } from "../support/temp-root.ts";

it.each([10, 65_000, 65_536, 200_000])("is read with a text of %i characters", (length) => {
  const path = join(tempRoot().root, "a.jsonl");
  const header = { type: "run.submitted", text: "é".repeat(length) };
  writeFileSync(path, `${JSON.stringify(header)}\n{"type":"run.started"}\n`);
  expect(readHeaderLine(path)).toEqual(header);
  // A header alone, without its line feed.
  writeFileSync(path, JSON.stringify(header));
  expect(readHeaderLine(path)).toEqual(header);
});

it("is none of what is no ledger", () => {
  const { root } = tempRoot();
  const path = join(root, "b.jsonl");
  expect(readHeaderLine(path)).toBeUndefined();
  writeFileSync(path, "");
  expect(readHeaderLine(path)).toBeUndefined();
  writeFileSync(path, '{"type":');
  expect(readHeaderLine(path)).toBeUndefined();
  mkdirSync(join(root, "folder"));
  expect(readHeaderLine(join(root, "folder"))).toBeUndefined();
});
