/** A line that would be too long is cut and written: the ledger goes on. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { shortened } from "../../src/ledger/short-line.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const CASES: Record<string, object> = {
  "one text": { text: "é".repeat(2_000_000) },
  "a text in an object": { error: { name: "n".repeat(3_000_000), message: "m" } },
  "many texts": { texts: Array.from({ length: 5_000 }, (_, n) => `${n}-${"x".repeat(1_000)}`) },
  "a long name": { ["k".repeat(1_500_000)]: 1, step: "s" },
  "many names": {
    env: Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`name-${n}`, n])),
  },
  "deep nesting": {
    deep: Array.from({ length: 400 }).reduce((inner) => [inner], "x".repeat(2_000_000)),
  },
  // Control characters take six bytes each.
  escapes: { text: "\u0001".repeat(500_000), more: "\u0002".repeat(500_000) },
};

it.each(Object.keys(CASES))("%s", async (name) => {
  const path = join(tempRoot().root, "a.jsonl");
  const first = [{ type: "run.submitted", format: 1 }];
  const clock = systemClock;
  const file = await LedgerFile.create<{ type: string }>(path, first, {
    clock,
    onFatal: (error) => {
      throw error;
    },
    shorten: shortened,
  });
  const event = { type: "note", ...CASES[name] };
  const [lines] = await Promise.all([file.append([event]), file.append([{ type: "after" }])]);
  await file.close();
  expect(lines).toHaveLength(1);
  const read = readWholeLedger(path);
  expect(read.map(({ type }) => type)).toEqual(["run.submitted", "note", "after"]);
  expect(JSON.stringify(lines[0])).toBe(JSON.stringify({ ...read[1], crc: undefined }));
});

it("says in a text that was cut how much is missing, and changes nothing that is short", () => {
  const short = { type: "note", text: "x".repeat(900_000) };
  expect(shortened(short)).toBe(short);
  expect(shortened({ type: "note", text: "x".repeat(2_000_000) }).text).toBe(
    `${"x".repeat(16_384)}… (1983616 characters more)`,
  );
});

it("says how much of the whole text is missing, where one cut was not enough", () => {
  const texts = Array.from({ length: 500 }, () => "x".repeat(20_000));
  const short = shortened({ type: "note", texts });
  expect(short.texts).toHaveLength(500);
  expect(short.texts[0]).toBe(`${"x".repeat(1_024)}… (18976 characters more)`);
});
