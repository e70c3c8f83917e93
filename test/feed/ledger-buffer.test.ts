/** Where a reader of one file stands: after what it took, and after what it had before. */
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { GivenCrcs } from "../../src/feed/given-crcs.ts";
import { LedgerBuffer } from "../../src/feed/ledger-buffer.ts";
import { START } from "../../src/feed/whole-lines.ts";
import { ledgerText } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

/** The text of a ledger of so many lines, each of these many bytes or somewhat more. */
const textOf = (lines: number, bytes = 0): string =>
  ledgerText(
    Array.from({ length: lines }, (_, n) => ({ type: "run.noted", n, more: "x".repeat(bytes) })),
  );

function rig(text: string) {
  const path = join(tempRoot().root, "pipeline.jsonl");
  writeFileSync(path, text);
  const crcs = new GivenCrcs(100);
  return { path, crcs, buffer: new LedgerBuffer(path, crcs) };
}

/** Takes what is read at once. */
function takeAll(buffer: LedgerBuffer): number[] {
  const seqs: number[] = [];
  while (buffer.head !== undefined) seqs.push(buffer.take().seq);
  return seqs;
}

it("reads blocks that follow one another, and twice as long each time", () => {
  const { buffer } = rig(textOf(100, 900));
  const blocks: number[][] = [];
  while (buffer.read() === "lines") blocks.push(takeAll(buffer));
  expect(blocks.flat()).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
  expect(blocks.map(({ length }) => length)).toEqual([8, 16, 32, 44]);
  expect(buffer.seq).toBe(100);
});

it("begins with a short block again, once it has read to the end", () => {
  const { path, buffer } = rig(textOf(60, 900));
  while (buffer.read() === "lines") takeAll(buffer);
  appendFileSync(path, textOf(90, 900).slice(textOf(60, 900).length));
  expect(buffer.read()).toBe("lines");
  expect(takeAll(buffer)).toHaveLength(8);
});

it("passes over lines that were given before they were written again, not the one after", () => {
  const text = textOf(5);
  const { path, crcs, buffer } = rig(text);
  expect(buffer.read()).toBe("lines");
  for (let taken = 0; taken < 3; taken += 1) buffer.take();
  const place = { offset: 0, seq: 0, crc: 0 };
  buffer.goTo(path, place, crcs);
  expect([buffer.read(), takeAll(buffer)]).toEqual(["lines", [4, 5]]);
  buffer.goTo(path, place, crcs);
  expect([buffer.read(), buffer.head, buffer.seq]).toEqual(["none", undefined, 5]);
  appendFileSync(path, textOf(6).slice(text.length));
  expect([buffer.read(), takeAll(buffer)]).toEqual(["lines", [6]]);
});

it("passes over blocks of lines that were given, to the first that was not", () => {
  const { path, crcs, buffer } = rig(textOf(40, 900));
  while (buffer.read() === "lines") takeAll(buffer);
  appendFileSync(path, textOf(41, 900).slice(textOf(40, 900).length));
  buffer.goTo(path, START, crcs);
  expect([buffer.read(), takeAll(buffer)]).toEqual(["lines", [41]]);
});

it("takes a line that stands in the place of one that was given", () => {
  const { path, crcs, buffer } = rig(textOf(3));
  buffer.read();
  takeAll(buffer);
  writeFileSync(path, textOf(3, 10));
  expect(buffer.read()).toBe("moved");
  buffer.goTo(path, START, crcs);
  expect([buffer.read(), takeAll(buffer)]).toEqual(["lines", [1, 2, 3]]);
});

it("says what became of a file: none, moved, blocked, or of another first line", () => {
  const { path, crcs, buffer } = rig(textOf(3));
  expect(buffer.isTouched()).toBe(true);
  expect([buffer.read(), buffer.isTouched()]).toEqual(["lines", false]);
  takeAll(buffer);
  const { crc } = buffer;
  expect([buffer.read(), buffer.seq]).toEqual(["none", 3]);
  truncateSync(path, 10);
  expect([buffer.isTouched(), buffer.read()]).toEqual([true, "moved"]);
  buffer.goTo(path, START, crcs, crc);
  writeFileSync(path, textOf(3, 5));
  expect(buffer.read()).toBe("moved");
  buffer.goTo(join(path, "..", "none.jsonl"), START, crcs);
  expect([buffer.isTouched(), buffer.read()]).toEqual([false, "blocked"]);
});
